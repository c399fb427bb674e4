"""Scatter-gather jobs on Slurm, as tasks: what runs on the cluster, and the branches in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_repx.errors import WorkItemsError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.execution.units import Bundle, Unit
from airflow_provider_repx.execution.units.remote_branches import (
    Scattered,
    look_at_scattered,
    reject_work_items,
    settle_remote_branches,
)
from airflow_provider_repx.hooks.reaching import connector
from airflow_provider_repx.operators.base import claimant_of
from airflow_provider_repx.operators.scatter_gather import BranchesOperator
from airflow_provider_repx.operators.slurm.stage import SlurmRunTaskOperator
from airflow_provider_repx.triggers.slurm import SlurmPartTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.execution.transport import Transport
    from airflow_provider_repx.execution.units import UnfinishedBranch, WorkItem
    from airflow_provider_repx.lab import JobId
    from airflow_provider_repx.plan.asked import AskedJobs

__all__ = ["SlurmBranchesOperator", "SlurmPartOperator"]

_AT_ONCE = 8
"""Jobs that are looked at at the same time; sshd lets ten commands share a connection (MaxSessions)."""


class SlurmPartOperator(SlurmRunTaskOperator):
    """Run the scatter or gather of the jobs, or one step in the branches, that fall to this task's map index.

    :param group: the group id of the planned scatter-gather stage
    :param part: which part of it, and `step`: which step

    The other arguments are those of `SlurmRunTaskOperator`.
    """

    shallow_copy_attrs: Sequence[str] = (*SlurmRunTaskOperator.shallow_copy_attrs, "group")
    trigger_class = SlurmPartTrigger

    def __init__(self, *, group: str, part: Literal["scatter", "step", "gather"], **kwargs: Any) -> None:
        super().__init__(stage=group, part=part, **kwargs)
        self.group = next(planned for planned in self.plan.scatter_gathers if planned.group_id == group)

    def point_label(self, map_index: int) -> str:
        """What the UI shows instead of a map index of scatter or gather."""
        return self.group.label_of(map_index)

    def branch_label(self, instance: Any) -> str:
        """What the UI shows instead of a map index of a step: the first branch, and how many follow."""
        found = instance.xcom_pull(task_ids=self.group.branches_task_id)
        return Bundle.from_json(found[instance.map_index]).label


@dataclass(frozen=True)
class _Job:
    """What is known of one job; without items where its scatter is not done."""

    look: Scattered
    items: tuple[WorkItem, ...] = ()
    unfinished: tuple[UnfinishedBranch, ...] = ()
    error: WorkItemsError | None = None


class SlurmBranchesOperator(BranchesOperator):
    """As its base, in a store that may lie on another machine. Runs on a worker: Airflow maps over what it returns."""

    _known: Mapping[JobId, _Job]

    def begin(self, context: Context) -> AskedJobs:
        """Check what every task checks first, and look at all jobs over one connection."""
        asked = super().begin(context)
        self._forced = asked.forced
        self._claimant = claimant_of(context)
        self._known = asyncio.run(self._look([job for job in self.group.jobs if job in asked.wanted]))
        return asked

    def unit_is_done(self, unit: Unit, context: Context) -> bool:  # noqa: ARG002 - its base's
        """Whether scatter, or the whole job, is done; with `force` no job is before its gather has run again."""
        look = self._known[unit.job_id].look
        if unit.part == "gather":
            return look.gather == "done" and unit.job_id not in self._forced
        return self._has_scattered(look)

    def settled(self, job_id: JobId) -> tuple[tuple[WorkItem, ...], tuple[UnfinishedBranch, ...]]:
        """The work items of a job, each given to its branch, and the branches that are not done."""
        known = self._known[job_id]
        if known.error is not None:
            raise known.error
        return known.items, known.unfinished

    async def _look(self, jobs: Sequence[JobId]) -> dict[JobId, _Job]:
        transport = connector(self.target).open()
        try:
            looking = asyncio.Semaphore(_AT_ONCE)

            async def look(job_id: JobId) -> _Job:
                async with looking:
                    return await self._look_at(transport, job_id)

            return dict(zip(jobs, await asyncio.gather(*map(look, jobs)), strict=True))
        finally:
            await transport.close()

    async def _look_at(self, transport: Transport, job_id: JobId) -> _Job:
        store = OutputStore(self.target.base_path)
        look = await look_at_scattered(transport, store, job_id)
        if not self._has_scattered(look) or (look.gather == "done" and job_id not in self._forced):
            return _Job(look)
        try:
            items = look.items()
        except WorkItemsError as error:
            await reject_work_items(transport, store, job_id)
            return _Job(look, error=error)
        unfinished = await settle_remote_branches(transport, store, job_id, self.repx_run.jobs[job_id], items)
        return _Job(look, items, unfinished)

    def _has_scattered(self, look: Scattered) -> bool:
        return look.has_scattered(self._claimant, forced=look.job_id in self._forced)
