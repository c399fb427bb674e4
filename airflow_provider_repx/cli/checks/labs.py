"""Labs, and the targets that their jobs run on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_repx.cli.checks.cluster import check_machine, check_slurm
from airflow_provider_repx.cli.checks.finding import Finding, broken, ok, warning
from airflow_provider_repx.cli.checks.space import LITTLE_SPACE, round_amount
from airflow_provider_repx.cli.labs import ChosenLab
from airflow_provider_repx.cli.tables import counted
from airflow_provider_repx.cli.there import Session, machine_of
from airflow_provider_repx.errors import RepxError
from airflow_provider_repx.execution.store.listing import existing_jobs
from airflow_provider_repx.targets import require_supported, resolve_executable

__all__ = ["check_lab", "check_target"]


def check_lab(chosen: ChosenLab) -> Iterator[Finding]:
    """Whether the lab can be read, with all of its runs."""
    subject = f"lab {chosen.name}"
    try:
        lab = chosen.lab
        jobs = sum(len(lab.run(name).jobs) for name in lab.run_names)
    except RepxError as error:
        yield broken(subject, str(error))
        return
    text = f"{counted(len(lab.run_names), 'run')}, {counted(jobs, 'job')}, id {lab.lab_id}, {chosen.settings.lab}"
    if lab.is_directory:
        yield ok(subject, text)
    else:
        yield broken(subject, f"{text}: an archive can be read but not run; unpack it and configure the directory")


def check_target(chosen: ChosenLab) -> Iterator[Finding]:
    """Whether the lab's jobs can run where they are to run."""
    try:
        target = chosen.target
    except RepxError as error:
        yield broken(f"target of {chosen.name}", str(error))
        return
    subject = f"target {target.name} of {chosen.name}"
    try:
        for name in chosen.lab.run_names:
            require_supported(target, chosen.lab.run(name))
    except RepxError as error:
        yield broken(subject, str(error))
        return
    yield ok(subject, f"{target.scheduler} on {machine_of(target)}, jobs run {target.execution_type}")
    if not target.is_remote:
        yield from _check_base_path(target.base_path, f"base path of {chosen.name}")
    if target.scheduler == "slurm":
        yield from _check_cluster(chosen)


def _check_cluster(chosen: ChosenLab) -> Iterator[Finding]:
    target = chosen.target
    try:
        partitions = _wanted_partitions(chosen)
        session = Session(target)
    except RepxError as error:
        yield broken(f"Slurm of {chosen.name}", str(error))
        return
    with session:
        if target.is_remote:
            found = list(check_machine(session, target, chosen.name))
            yield from found
            # Without a way to the machine the same would be said again.
            if found[0].level == "broken":
                return
        yield from check_slurm(session, partitions, chosen.name)


def _wanted_partitions(chosen: ChosenLab) -> frozenset[str | None]:
    """The partitions that jobs go to; `None` is the cluster's default one."""
    target, lab = chosen.target, chosen.lab
    jobs = {job_id: job for name in lab.run_names for job_id, job in lab.run(name).jobs.items()}
    asked = {
        resolve_executable(chosen.rules, target.name, job_id, job, executable).partition
        for job_id, job in jobs.items()
        for executable in job.executables
    }
    return frozenset(partition or target.slurm.partition for partition in asked)


def _check_base_path(base_path: Path, subject: str) -> Iterator[Finding]:
    existing = next(folder for folder in (base_path, *base_path.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
        jobs = len(existing_jobs(base_path / "outputs"))
    except (OSError, RepxError) as error:
        yield broken(subject, f"{base_path} cannot be used: {error}. Choose another `base_path`, or repair this one")
        return
    text = f"{base_path}: {counted(jobs, 'job')}, {round_amount(free)} free"
    if free < LITTLE_SPACE:
        yield warning(subject, f"{text}: that is little. Make room, or choose another `base_path`")
    elif existing != base_path:
        yield ok(subject, f"{text}; made by the first run")
    else:
        yield ok(subject, text)
