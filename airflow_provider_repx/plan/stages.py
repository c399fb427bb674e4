"""Which stage a job belongs to, and which stages read from which.

Labs of this package's own Nix library say so. In other labs a stage is told by its jobs' name, their parameters' names
and what they read from which stages: that keeps two stages of one name apart, and one stage that two pipelines wire
differently.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from airflow_provider_repx.errors import PlanError
from airflow_provider_repx.lab.graph import topological_order
from airflow_provider_repx.lab.models import Job, JobId, Run
from airflow_provider_repx.plan.names import Nameable, task_ids

__all__ = ["Stage", "Stages", "find_stages", "stage_name"]


@dataclass(frozen=True)
class Stage:
    """The jobs of one stage of one pipeline, sorted by id. `upstream` are the positions of the stages it reads from."""

    task_id: str
    name: str
    pipeline: str | None
    jobs: tuple[JobId, ...]
    upstream: tuple[int, ...]


@dataclass(frozen=True)
class Stages:
    """The stages of a run in topological order; `position` tells each job's stage. `order` lists the jobs likewise."""

    all: tuple[Stage, ...]
    position: Mapping[JobId, int]
    order: tuple[JobId, ...]


def find_stages(run: Run) -> Stages:
    """The stages of a run, with task ids that are unique in it.

    Raises `PlanError` when a job reads from a job that the run does not have. The result does not depend on the order
    of the jobs in the metadata file.
    """
    _require_producers(run)
    order = tuple(topological_order(run))
    grouped = _grouped(run, order, by_wiring=False)
    if grouped is None:
        # Labels that contradict the wiring cannot come from this package's Nix library; the wiring itself has no cycle.
        grouped = _grouped(run, order, by_wiring=True)
    if grouped is None:
        raise PlanError(f"run {run.name}: its stages read from each other in a circle. Evaluate the lab again.")
    return _named(run, order, grouped)


def stage_name(job: Job) -> str:
    """The name of a job's stage: as the lab says it, or else the job's name without its version."""
    if job.stage is not None:
        return job.stage
    name, separator, version = job.name.rpartition("-")
    return name if separator and version[:1].isdigit() else job.name


class _Group(NamedTuple):
    """A stage before it has a task id: its jobs, the groups it reads from, and how many groups lead up to it."""

    jobs: list[JobId]
    upstream: set[int]
    depth: int


def _require_producers(run: Run) -> None:
    for job_id, job in run.jobs.items():
        for producer in job.producers:
            if producer not in run.jobs:
                raise PlanError(
                    f"run {run.name}: job {job_id} reads from job {producer}, which the run does not have. "
                    f"Evaluate the lab again."
                )


def _grouped(run: Run, order: Sequence[JobId], *, by_wiring: bool) -> list[_Group] | None:
    """The jobs by stage, or `None` if the stages found in this way read from each other in a circle."""
    numbers: dict[Hashable, int] = {}
    group_of: dict[JobId, int] = {}
    jobs: list[list[JobId]] = []
    upstream: list[set[int]] = []
    for job_id in order:
        job = run.jobs[job_id]
        key: tuple[Hashable, ...] = (job.stage, job.pipeline)
        if job.stage is None or by_wiring:
            key += _wiring(job, group_of)
        number = numbers.setdefault(key, len(numbers))
        if number == len(jobs):
            jobs.append([])
            upstream.append(set())
        group_of[job_id] = number
        jobs[number].append(job_id)
        upstream[number].update(group_of[producer] for producer in job.producers)
    depths = _depths(upstream)
    if depths is None:
        return None
    return [_Group(*parts) for parts in zip(jobs, upstream, depths, strict=True)]


def _wiring(job: Job, group_of: Mapping[JobId, int]) -> tuple[Hashable, ...]:
    reads = frozenset(
        (executable_name, mapping.target_input, mapping.source_output, group_of[JobId(mapping.job_id)])
        for executable_name, executable in job.executables.items()
        for mapping in executable.inputs
        if mapping.job_id is not None and mapping.job_id != "self"
    )
    return (job.name, job.stage_type, frozenset(job.params), reads)


def _depths(upstream: Sequence[set[int]]) -> list[int] | None:
    """The length of the longest way to each node of a graph, or `None` if it has a cycle."""
    downstream: list[list[int]] = [[] for _ in upstream]
    missing = [len(parents) for parents in upstream]
    for number, parents in enumerate(upstream):
        for parent in parents:
            downstream[parent].append(number)
    depths = [0] * len(upstream)
    ready = [number for number, count in enumerate(missing) if count == 0]
    for number in ready:
        for child in downstream[number]:
            depths[child] = max(depths[child], depths[number] + 1)
            missing[child] -= 1
            if missing[child] == 0:
                ready.append(child)
    return depths if len(ready) == len(upstream) else None


def _named(run: Run, order: tuple[JobId, ...], groups: Sequence[_Group]) -> Stages:
    # Numbers of groups follow the order of the file; from here on the order is that of depth, name and job ids.
    names = [stage_name(run.jobs[group.jobs[0]]) for group in groups]
    pipelines = [run.jobs[group.jobs[0]].pipeline for group in groups]
    firsts = [min(group.jobs) for group in groups]
    ranked = sorted(
        range(len(groups)),
        key=lambda number: (groups[number].depth, names[number], pipelines[number] or "", firsts[number]),
    )
    ids = task_ids(
        [
            Nameable(names[number], pipelines[number], tuple(sorted({names[up] for up in groups[number].upstream})))
            for number in ranked
        ]
    )
    position_of = {number: position for position, number in enumerate(ranked)}
    stages = tuple(
        Stage(
            task_id=task_id,
            name=names[number],
            pipeline=pipelines[number],
            jobs=tuple(sorted(groups[number].jobs)),
            upstream=tuple(sorted(position_of[up] for up in groups[number].upstream)),
        )
        for task_id, number in zip(ids, ranked, strict=True)
    )
    return Stages(stages, {job: place for place, stage in enumerate(stages) for job in stage.jobs}, order)
