"""Parts of scatter-gather jobs by their names: ``ID/scatter``, ``ID/branch-3/step-fit``, ``ID/gather``.

These are their folders in the output store, except that gather has that of the job itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_repx.cli.find import FoundJob, find_job
from airflow_provider_repx.errors import CommandLineError, WorkItemsError
from airflow_provider_repx.execution.store import JobPaths, JobStatus, OutputStore
from airflow_provider_repx.execution.store.templates import expand_output
from airflow_provider_repx.execution.units import Unit, WorkItem, parse_work_items
from airflow_provider_repx.lab import Executable, Job, JobId, Lab
from airflow_provider_repx.lab.graph import step_order

__all__ = ["FoundUnit", "find_unit", "name_of", "outputs_of", "statuses_of", "units_of", "work_items"]

_STEP = re.compile(r"branch-(?P<branch>0|[1-9][0-9]{0,8})/step-(?P<step>.+)", re.DOTALL)


@dataclass(frozen=True)
class FoundUnit:
    """What an ``ID`` or ``ID/PART`` stands for; `named` is the part as it was written, empty for a whole job."""

    found: FoundJob
    unit: Unit
    named: str

    @property
    def job_id(self) -> JobId:
        """The job that it is a part of, or that it is."""
        return self.found.job_id

    def paths(self, store: OutputStore) -> JobPaths:
        """Its folder."""
        return self.unit.paths(store)

    def status(self, store: OutputStore) -> JobStatus:
        """How far it is: a whole job with its parts, a part by itself."""
        if not self.named:
            return store.status(self.job_id)
        return statuses_of(store, [self.unit])[self.unit]


def find_unit(lab: Lab, written: str) -> FoundUnit:
    """The job or part that is meant; a scatter-gather job alone stands for its gather.

    Raises `CommandLineError` for an unknown or ambiguous id, and for a part that the job does not have.
    """
    start, _, part = written.partition("/")
    found = find_job(lab, start)
    simple = found.job.stage_type == "simple"
    if not part:
        return FoundUnit(found, Unit(found.job_id, "main" if simple else "gather"), "")
    if simple:
        raise CommandLineError(f"{written!r}: {found.job_id} is a simple job, which has no parts. Give its id alone.")
    if part in ("scatter", "gather"):
        return FoundUnit(found, Unit(found.job_id, "scatter" if part == "scatter" else "gather"), part)
    matched = _STEP.fullmatch(part)
    if matched is None or matched["step"] not in step_order(found.job):
        known = ", ".join(["scatter", *(f"branch-N/step-{name}" for name in step_order(found.job)), "gather"])
        raise CommandLineError(f"{written!r}: {found.job_id} has no part {part!r}. Its parts: {known}.")
    return FoundUnit(found, Unit(found.job_id, "step", int(matched["branch"]), matched["step"]), part)


def name_of(unit: Unit) -> str:
    """A unit as the command line names it."""
    if unit.part == "main":
        return unit.job_id
    if unit.part == "step":
        return f"{unit.job_id}/branch-{unit.branch}/step-{unit.step}"
    return f"{unit.job_id}/{unit.part}"


def units_of(job_id: JobId, job: Job, branches: int) -> tuple[Unit, ...]:
    """The parts of a scatter-gather job in the order in which they run, branch by branch; of a simple job none."""
    if job.stage_type == "simple":
        return ()
    order = step_order(job)
    steps = (Unit(job_id, "step", branch, step) for branch in range(branches) for step in order)
    return (Unit(job_id, "scatter"), *steps, Unit(job_id, "gather"))


def outputs_of(executable: Executable, paths: JobPaths) -> dict[str, str]:
    """The paths of an executable's outputs, by name, without what a scatter's output is that is no path."""
    templates = executable.outputs.items()
    return {name: expand_output(text, str(paths.out)) for name, text in templates if isinstance(text, str)}


def work_items(store: OutputStore, jobs: Iterable[JobId]) -> Mapping[JobId, Sequence[WorkItem]]:
    """The work items of those jobs whose scatter has left some that can be read."""
    files = {store.job(job_id).work_items: job_id for job_id in jobs}
    found = {}
    for file, content in store.contents(files).items():
        try:
            found[files[file]] = parse_work_items(content, file)
        except WorkItemsError:  # noqa: PERF203 - each job has its own outcome
            continue
    return found


def statuses_of(store: OutputStore, units: Iterable[Unit]) -> Mapping[Unit, JobStatus]:
    """How far parts are, each by itself."""
    wanted = list(units)
    folders = {unit: unit.paths(store) for unit in wanted}
    scatters = {unit: Unit(unit.job_id, "scatter").paths(store) for unit in wanted if unit.part == "gather"}
    found = store.folder_statuses(dict.fromkeys([*folders.values(), *scatters.values()]))
    statuses = {unit: found[folder] for unit, folder in folders.items()}
    for unit, scatter in scatters.items():
        # A failed scatter marks the job as failed too, whose folder gather shares.
        if statuses[unit] is JobStatus.FAILED and found[scatter] is JobStatus.FAILED:
            statuses[unit] = JobStatus.PENDING
    return statuses
