"""Labs, and the targets that their jobs run on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_repx.cli.checks.finding import Finding, broken, ok, warning
from airflow_provider_repx.cli.labs import ChosenLab
from airflow_provider_repx.cli.there import ask, told
from airflow_provider_repx.errors import RepxError
from airflow_provider_repx.execution.store.listing import existing_jobs
from airflow_provider_repx.lab import format_memory
from airflow_provider_repx.targets import Target, require_supported

__all__ = ["check_lab", "check_target"]

_LITTLE_SPACE = 2**30
_NOT_WRITABLE = 13


def check_lab(chosen: ChosenLab) -> Iterator[Finding]:
    """Whether the lab can be read, with all of its runs."""
    subject = f"lab {chosen.name}"
    try:
        lab = chosen.lab
        jobs = sum(len(lab.run(name).jobs) for name in lab.run_names)
    except RepxError as error:
        yield broken(subject, str(error))
        return
    text = f"{len(lab.run_names)} runs, {jobs} jobs, id {lab.lab_id}, {chosen.settings.lab}"
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
    machine = target.address or target.ssh_connection
    yield ok(subject, f"{target.scheduler} on {machine or 'this machine'}, jobs run {target.execution_type}")
    if target.is_remote:
        found = list(_check_remote(target, chosen.name))
    else:
        found = list(_check_base_path(target.base_path, f"base path of {chosen.name}"))
    yield from found
    # Without a way to the machine the same would be said again.
    if target.scheduler == "slurm" and not (target.is_remote and found[0].level == "broken"):
        yield _check_slurm(target, f"Slurm of {chosen.name}")


def _check_base_path(base_path: Path, subject: str) -> Iterator[Finding]:
    existing = next(folder for folder in (base_path, *base_path.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
        jobs = len(existing_jobs(base_path / "outputs"))
    except (OSError, RepxError) as error:
        yield broken(subject, f"{base_path} cannot be used: {error}. Choose another `base_path`, or repair this one")
        return
    text = f"{base_path}: {jobs} jobs, {_round(free)} free"
    if free < _LITTLE_SPACE:
        yield warning(subject, f"{text}: that is little. Make room, or choose another `base_path`")
    elif existing != base_path:
        yield ok(subject, f"{text}; made by the first run")
    else:
        yield ok(subject, text)


def _round(amount: int) -> str:
    for unit in (2**40, 2**30, 2**20):
        if amount >= unit:
            return format_memory(amount // unit * unit)
    return f"{amount}B"


def _check_remote(target: Target, lab: str) -> Iterator[Finding]:
    """Whether the machine can be reached, and has room for results."""
    script = 'while [ ! -e "$1" ]; do set -- "$(dirname -- "$1")"; done; [ -w "$1" ] || exit 13; df -Pk -- "$1"'
    try:
        done = ask(target, ["bash", "-c", script, "df", str(target.base_path)])
    except (RepxError, OSError) as error:
        yield broken(f"SSH of {lab}", str(error))
        return
    yield ok(f"SSH of {lab}", f"{target.address or target.ssh_connection} answers")
    subject = f"base path of {lab}"
    if done.exit_code:
        reason = "may not be written" if done.exit_code == _NOT_WRITABLE else told(done)
        yield broken(subject, f"{target.base_path} there: {reason}. Choose another `base_path`, or repair this one")
        return
    free = int(done.stdout.decode().splitlines()[-1].split()[3]) * 1024
    text = f"{target.base_path} there: {_round(free)} free"
    yield warning(subject, f"{text}: that is little") if free < _LITTLE_SPACE else ok(subject, text)


def _check_slurm(target: Target, subject: str) -> Finding:
    try:
        done = ask(target, ["sinfo", "--noheader", "--format", "%R %a, %D nodes %T"])
    except (RepxError, OSError) as error:
        return broken(subject, f"sinfo: {error}")
    if done.exit_code:
        return broken(subject, f"sinfo: {told(done)}. Is Slurm installed there, and does its controller run?")
    partitions = [line.strip() for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
    return ok(subject, "; ".join(partitions)) if partitions else warning(subject, "there are no partitions")
