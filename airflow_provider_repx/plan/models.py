"""What is to be scheduled for one run, as data; knows nothing of Airflow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from airflow_provider_repx.lab.models import JobId

__all__ = ["Chain", "PlannedPart", "PlannedScatterGather", "PlannedStage", "PlannedStep", "PoolPlan", "RunPlan"]


@dataclass(frozen=True)
class PlannedStage:
    """One task of the DAG, mapped over the points of its chain.

    `task_id` is unique in the run. `jobs[i]` is the job of point `i`. `upstream` are the task ids of the stages that
    this one reads from, in this chain (same point) or in another (all of its points). `slots` is what one job takes
    from `pool`; a task that holds several points runs `parallel` of their jobs at once, where it runs them itself.
    `sole_upstream` are those of `upstream` that have one job alone, which every job of this stage reads from.
    """

    task_id: str
    stage: str
    pipeline: str | None
    jobs: tuple[JobId, ...]
    upstream: tuple[str, ...]
    pool: str
    slots: int
    parallel: int = 1
    sole_upstream: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chain:
    """Stages that depend on each other one-to-one: point `i` of one needs point `i` of the other, nothing else of it.

    A chain of one point is plain tasks; with more it is a mapped task group called `group_id`. `labels[i]` tells point
    `i` from the others. A task takes `chunk` consecutive points (1: one task per job).
    """

    group_id: str
    stages: tuple[PlannedStage, ...]
    labels: tuple[str, ...]
    chunk: int

    @property
    def points(self) -> int:
        """How many sweep points the chain has."""
        return len(self.labels)

    @property
    def width(self) -> int:
        """How many map indices the chain has: its points, packed into chunks."""
        return -(-self.points // self.chunk)

    def points_of(self, map_index: int) -> range:
        """The points of one map index (0-based; -1, Airflow's index of a plain task, is taken as 0)."""
        first = max(map_index, 0) * self.chunk
        return range(first, min(first + self.chunk, self.points))

    def label_of(self, map_index: int) -> str:
        """What users see instead of a map index: the label of its first point, and how many follow."""
        points = self.points_of(map_index)
        label = self.labels[points.start]
        return label if len(points) == 1 else f"{label} (+{len(points) - 1})"


@dataclass(frozen=True)
class PlannedPart:
    """One task of a scatter-gather job, and what each job takes there from `pool`."""

    task_id: str
    pool: str
    slots: int


@dataclass(frozen=True)
class PlannedStep(PlannedPart):
    """The task of one step, in all branches. `name` is the step's in the lab, `deps` those that it reads from."""

    name: str
    deps: tuple[str, ...]


@dataclass(frozen=True)
class PlannedScatterGather:
    """Jobs of one scatter-gather stage with their tasks: scatter, branches, steps in the order of their graph, gather.

    With one job, scatter and gather are plain tasks; with more they are mapped over the jobs, a task taking `chunk` of
    them. The task `branches_task_id` finds out which branches there are; the steps are mapped over what it says, with
    at most `width` map indices. `labels[i]` tells job `i` from the others; `label` does where each job of the stage has
    tasks of its own. `upstream` are the tasks that scatter waits for; whoever reads from the jobs waits for gather.
    """

    group_id: str
    stage: str
    pipeline: str | None
    jobs: tuple[JobId, ...]
    labels: tuple[str, ...]
    label: str
    upstream: tuple[str, ...]
    scatter: PlannedPart
    branches_task_id: str
    steps: tuple[PlannedStep, ...]
    gather: PlannedPart
    chunk: int
    width: int

    @property
    def job_width(self) -> int:
        """How many map indices scatter and gather have; one means that they are not mapped."""
        return -(-len(self.jobs) // self.chunk)

    @property
    def parts(self) -> tuple[PlannedPart, ...]:
        """The tasks that run something of a job, in their order."""
        return (self.scatter, *self.steps, self.gather)

    @property
    def executables(self) -> tuple[str, ...]:
        """What each of `parts` runs: the key among the job's executables."""
        return ("scatter", *(f"step-{step.name}" for step in self.steps), "gather")

    @property
    def task_ids(self) -> tuple[str, ...]:
        """All of its tasks, in the order in which they run."""
        return (
            self.scatter.task_id,
            self.branches_task_id,
            *(step.task_id for step in self.steps),
            self.gather.task_id,
        )

    def points_of(self, map_index: int) -> range:
        """The jobs, by position, of one map index of scatter or gather (-1, a plain task's, is taken as 0)."""
        first = max(map_index, 0) * self.chunk
        return range(first, min(first + self.chunk, len(self.jobs)))

    def label_of(self, map_index: int) -> str:
        """What users see instead of a map index of scatter or gather; as for a chain."""
        points = self.points_of(map_index)
        label = self.labels[points.start]
        return label if len(points) == 1 else f"{label} (+{len(points) - 1})"


@dataclass(frozen=True)
class PoolPlan:
    """An Airflow pool that the run's tasks draw slots from; `slots` is `None` where the capacity is not known."""

    name: str
    slots: int | None
    description: str


@dataclass(frozen=True)
class RunPlan:
    """A run, ready to become a DAG. `chains` are in topological order; `scatter_gathers` lie between them."""

    lab_id: str
    run: str
    target: str
    chains: tuple[Chain, ...]
    pools: tuple[PoolPlan, ...]
    hard_dependencies: tuple[str, ...]
    soft_dependencies: tuple[str, ...]
    scatter_gathers: tuple[PlannedScatterGather, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what a task id and a map index mean: two plans with the same one agree on every index."""
        digest = hashlib.sha256()
        for chain in self.chains:
            for stage in chain.stages:
                digest.update("\n".join((stage.task_id, str(chain.chunk), *stage.jobs, "")).encode())
        for group in self.scatter_gathers:
            digest.update("\n".join((*group.task_ids, str(group.chunk), *group.jobs, "")).encode())
        return digest.hexdigest()

    @property
    def stages(self) -> Mapping[str, PlannedStage]:
        """Every planned stage by task id, in topological order."""
        return {stage.task_id: stage for chain in self.chains for stage in chain.stages}

    @cached_property
    def jobs_of(self) -> Mapping[str, tuple[JobId, ...]]:
        """The jobs that a task completes, by task id: a stage of a chain, or the gather of a scatter-gather stage."""
        gathers = {group.gather.task_id: group.jobs for group in self.scatter_gathers}
        return {task_id: stage.jobs for task_id, stage in self.stages.items()} | gathers

    @property
    def widths(self) -> Mapping[str, int]:
        """How many map indices each task has whose number is known from the start (1: it is not mapped)."""
        found = {stage.task_id: chain.width for chain in self.chains for stage in chain.stages}
        for group in self.scatter_gathers:
            found |= dict.fromkeys((group.scatter.task_id, group.gather.task_id), group.job_width)
        return found

    @cached_property
    def task_ids(self) -> tuple[str, ...]:
        """Every task that runs jobs or parts of them."""
        return (*self.stages, *(task_id for group in self.scatter_gathers for task_id in group.task_ids))
