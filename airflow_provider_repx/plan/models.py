"""What is to be scheduled for one run, as data; knows nothing of Airflow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from airflow_provider_repx.lab.models import JobId

__all__ = ["Chain", "PlannedStage", "PoolPlan", "RunPlan"]


@dataclass(frozen=True)
class PlannedStage:
    """One task of the DAG, mapped over the points of its chain.

    `task_id` is unique in the run. `jobs[i]` is the job of point `i`. `upstream` are the task ids of the stages that
    this one reads from, in this chain (same point) or in another (all of its points). `slots` is what one job takes
    from `pool`.
    """

    task_id: str
    stage: str
    pipeline: str | None
    jobs: tuple[JobId, ...]
    upstream: tuple[str, ...]
    pool: str
    slots: int


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


@dataclass(frozen=True)
class PoolPlan:
    """An Airflow pool that the run's tasks draw slots from; `slots` is `None` where the capacity is not known."""

    name: str
    slots: int | None
    description: str


@dataclass(frozen=True)
class RunPlan:
    """A run, ready to become a DAG. `chains` are in topological order."""

    lab_id: str
    run: str
    target: str
    chains: tuple[Chain, ...]
    pools: tuple[PoolPlan, ...]
    hard_dependencies: tuple[str, ...]
    soft_dependencies: tuple[str, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what a task id and a map index mean: two plans with the same one agree on every index."""
        digest = hashlib.sha256()
        for chain in self.chains:
            for stage in chain.stages:
                digest.update("\n".join((stage.task_id, str(chain.chunk), *stage.jobs, "")).encode())
        return digest.hexdigest()

    @property
    def stages(self) -> Mapping[str, PlannedStage]:
        """Every planned stage by task id, in topological order."""
        return {stage.task_id: stage for chain in self.chains for stage in chain.stages}
