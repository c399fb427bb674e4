"""What comes between the claim of a unit and the start of its script, and what its failure means for others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_repx.errors import JobInputError, WorkItemsError
from airflow_provider_repx.execution.store import Completion, JobPaths, OutputStore, append_completions
from airflow_provider_repx.execution.store.files import make_folder, store_error, write_atomically
from airflow_provider_repx.execution.store.listing import job_status
from airflow_provider_repx.execution.units import (
    PreparedUnit,
    describe_unfinished,
    prepare_unit,
    read_work_items,
    settle_branches,
)
from airflow_provider_repx.lab.models import Job, Run

if TYPE_CHECKING:
    from airflow_provider_repx.execution.jobs.request import JobRequest

__all__ = ["Inputs", "is_outdated", "items_problem", "make_ready", "mark_failed", "prepare"]


class Inputs:
    """What a simple job reads, as it was found before its script began.

    Somebody else may force one of the producers meanwhile: its files are then written again while they are being read,
    and half of one may have been taken for the whole. Parts of a scatter-gather job are told by `is_outdated`.
    """

    def __init__(self, prepared: PreparedUnit) -> None:
        needs = prepared.needs if prepared.unit.part == "main" else ()
        self._found = {need: _identity(need.success) for need in needs}

    def problem(self) -> str:
        """Which producers have been run again since; empty where none has."""
        changed = [need.root.name for need, found in self._found.items() if _identity(need.success) != found]
        if not changed:
            return ""
        return (
            f"what it reads was made anew while it ran ({', '.join(changed)}), by a DAG run with `force` or by RepX, so"
            " its results may come from half-written files and do not count: it has to run again"
        )


def prepare(request: JobRequest) -> PreparedUnit:
    """Say how the request's unit is started, and see to it that everything that it needs is done.

    Raises:
        LabLookupError: the run has no such job or part.
        JobInputError: something that the unit needs is not done, or an input cannot be resolved.
        WorkItemsError: the branches of a gather cannot be known.
        StoreError: the store cannot be used.
        LabError: a file of the lab is not what its manifest promises.

    """
    run = request.lab.run(request.run)
    branches = _branches(request, run.jobs[request.job_id]) if request.part == "gather" else None
    prepared = prepare_unit(request.lab, run, request.unit, request.store, branches=branches)
    for need in prepared.needs:
        if not need.success.exists():
            raise JobInputError(_missing(request, run, need))
    return prepared


def is_outdated(prepared: PreparedUnit) -> bool:
    """Whether what the unit was made from has been replaced since, so that its success does not count."""
    written = _modified(prepared.inputs)
    if written is None:
        # Nobody can tell, and the marker is there.
        return False
    return any((_modified(path) or 0) > written for path in prepared.made_from)


def items_problem(store: OutputStore, unit: PreparedUnit) -> str:
    """What is wrong with the work items that a scatter has left; empty when nothing is, and for other units."""
    if unit.unit.part != "scatter":
        return ""
    try:
        read_work_items(store, unit.unit.job_id)
    except WorkItemsError as error:
        return str(error)
    return ""


def make_ready(store: OutputStore, prepared: PreparedUnit) -> None:
    """Take back what was made from the unit's former results, and write the files that its script reads.

    Only while holding the unit's claim. Raises `StoreError`.
    """
    job = store.job(prepared.unit.job_id)
    if (prepared.unit.is_whole_job or job in prepared.outdates) and job.success.exists():
        # RepX believes the log: it must not call a job done whose outputs are being made anew.
        append_completions(store, [Completion(prepared.unit.job_id, succeeded=False)])
    for paths in prepared.outdates:
        _remove(paths.success)
        _remove(paths.fail)
    for path, content in prepared.files.items():
        make_folder(path.parent)
        write_atomically(path, content)


def mark_failed(prepared: PreparedUnit) -> None:
    """Mark what counts as failed together with the unit; raises `StoreError`."""
    for paths in prepared.fails:
        make_folder(paths.repx)
        try:
            paths.fail.touch()
        except OSError as error:
            raise store_error("mark the job as failed", paths.fail, error) from error


def _branches(request: JobRequest, job: Job) -> int:
    items = read_work_items(request.store, request.job_id)
    unfinished = settle_branches(request.store, request.job_id, job, items)
    if unfinished:
        raise JobInputError(describe_unfinished(request.job_id, request.store, unfinished, len(items)))
    return len(items)


def _missing(request: JobRequest, run: Run, need: JobPaths) -> str:
    where = f"{request.lab.path}: {run.name}/{request.job_id}"
    advice = (
        f"is not done in {request.store.outputs} (status: {job_status(need)}). Run it first; its log is {need.stderr}."
    )
    job = run.jobs[request.job_id]
    # The unit's own input first: scatter waits for what later parts read, too.
    executables = [job.executables[request.unit.executable], *job.executables.values()]
    for mapping in (mapping for executable in executables for mapping in executable.inputs):
        if mapping.job_id not in (None, "self") and request.store.job(mapping.job_id or "").root == need.root:
            return f"{where}: input {mapping.target_input!r}: its producer {mapping.job_id} {advice}"
    part = need.root.relative_to(request.store.job(request.job_id).root)
    return f"{where}: {request.unit} needs {part}, which {advice}"


def _remove(marker: Path) -> None:
    try:
        marker.unlink(missing_ok=True)
    except OSError as error:
        raise store_error("remove the marker of what is not up to date any more", marker, error) from error


def _modified(path: Path) -> int | None:
    """When a file was written, in nanoseconds; `None` without one."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _identity(marker: Path) -> tuple[int, int] | None:
    """What tells a marker from one written later in its place, without comparing clocks; `None` without one."""
    try:
        status = marker.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
