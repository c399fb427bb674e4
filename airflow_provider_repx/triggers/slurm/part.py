"""Parts of scatter-gather jobs on Slurm: scatter, one step in the branches of a map index, gather."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_repx.errors import RepxError, WorkItemsError
from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmJob, SlurmOutcome
from airflow_provider_repx.execution.store import JobPaths
from airflow_provider_repx.execution.units import (
    Bundle,
    Unit,
    describe_unfinished,
    part_units,
    step_units,
    units_before,
)
from airflow_provider_repx.execution.units.remote_branches import (
    Scattered,
    look_at_scattered,
    reject_work_items,
    settle_remote_branches,
)
from airflow_provider_repx.plan import PlannedPart, PlannedScatterGather
from airflow_provider_repx.plan.asked import AskedJobs
from airflow_provider_repx.triggers.slurm.base import is_temporary
from airflow_provider_repx.triggers.slurm.clusters import transport_of
from airflow_provider_repx.triggers.slurm.plans import OpenedRun
from airflow_provider_repx.triggers.slurm.questions import ask_count, ask_xcom
from airflow_provider_repx.triggers.slurm.stage import JobResult, SlurmStageTrigger
from airflow_provider_repx.triggers.slurm.verdict import Verdict

__all__ = ["SlurmPartTrigger"]

_BUNDLES_SECONDS = 2.0
"""How old what the task `branches` said may be: less than it takes to clear that task and run it again."""


class SlurmPartTrigger(SlurmStageTrigger):
    """Run one part of the jobs, or of the branches, that fall to a task's map index. The arguments are its base's.

    The rules are those of the operators for this machine (``operators/scatter_gather.py``): in a bundle of several
    branches one that fails does not stop the others, and the last step fails for all that is not done. What is lost
    uses the task's tries first.
    """

    def __init__(self, *, request: str, claimant: str | None = None, params: dict[str, Any] | None = None) -> None:
        super().__init__(request=request, claimant=claimant, params=params)
        self._counts: dict[str, int] = {}
        self._problems: list[str] = []
        self._before: Mapping[str, Sequence[SlurmJob]] = {}
        self._is_last = False

    async def units(self, opened: OpenedRun) -> list[Unit]:
        """The parts of this map index."""
        group = opened.group(self.request.stage)
        part, step = self.request.part, self.request.step
        if part == "step" and step is not None:
            self._is_last = not any(step in other.deps for other in group.steps)
            return list(step_units(group, step, await self._bundle(group)))
        return list(part_units(group, "gather" if part == "gather" else "scatter", self.claimant.map_index))

    async def folders(self, opened: OpenedRun) -> Sequence[JobPaths]:
        """Where this try may have claims."""
        units = await self.units(opened)
        group = opened.group(self.request.stage)
        before = [earlier for unit in units for earlier in units_before(group, unit)] if len(units) > 1 else []
        return [unit.paths(self.store) for unit in (*units, *before)]

    def planned(self, opened: OpenedRun, unit: Unit) -> PlannedPart:
        """Whose pool and slots a unit takes."""
        group = opened.group(self.request.stage)
        if unit.part == "step":
            return next(step for step in group.steps if step.name == unit.step)
        return group.gather if unit.part == "gather" else group.scatter

    def branches(self, unit: Unit) -> int | None:
        """How many branches a gather reads from."""
        return self._counts.get(unit.job_id)

    async def startable(self, opened: OpenedRun, units: list[Unit], asked: AskedJobs) -> list[Unit]:
        """Of gathers, those that are done and those whose branches all are; the others become problems or are told."""
        if self.request.part != "gather":
            return units
        found = await asyncio.gather(*(self._may_gather(opened, unit, asked) for unit in units))
        return [unit for unit, may in zip(units, found, strict=True) if may]

    def prepare(
        self, opened: OpenedRun, units: Sequence[Unit], asked: AskedJobs, lab_root: Path | None
    ) -> list[SlurmJob]:
        """What the cluster is asked for; in another try of a bundle also what is missing before its step."""
        jobs = super().prepare(opened, units, asked, lab_root)
        if len(units) > 1 and self.claimant.try_number > 1:
            group = opened.group(self.request.stage)
            self._before = {
                job.name: [self.slurm_job(opened, earlier, asked, lab_root) for earlier in units_before(group, unit)]
                for job, unit in zip(jobs, units, strict=True)
            }
        return jobs

    async def run_job(self, cluster: SlurmCluster, job: SlurmJob) -> JobResult:
        """Run or reuse one part; a scatter whose work items are none has failed."""
        for earlier in self._before.get(job.name, ()):
            result = await super().run_job(cluster, earlier)
            if not isinstance(result, SlurmOutcome) or result.status != "succeeded":
                return result
        result = await super().run_job(cluster, job)
        if self.request.part != "scatter" or not isinstance(result, SlurmOutcome) or result.status != "succeeded":
            return result
        try:
            await self.patiently(lambda: self._require_items(job))
        except RepxError as error:
            return error
        return result

    def conclude(self, results: Sequence[JobResult]) -> Verdict:
        """What the task comes to."""
        if self.request.part == "step" and len(results) > 1:
            return self._conclude_bundle(results)
        verdict = super().conclude(results)
        if verdict.status == "failed":
            return verdict
        if self._problems:
            return Verdict("failed", "\n".join(self._problems))
        return verdict if results else Verdict("skipped", "Nothing was started; see above.")

    def _conclude_bundle(self, results: Sequence[JobResult]) -> Verdict:
        done = [result for result in results if isinstance(result, SlurmOutcome) and result.status == "succeeded"]
        lost = [result for result in results if _may_be_cured(result)]
        if lost and self.claimant.try_number <= self.request.retries:
            return super().conclude(lost)
        if done and not self._is_last:
            for result in results:
                if result not in done:
                    text = result.describe() if isinstance(result, SlurmOutcome) else str(result)
                    self.narration.say(self.log.error, text)
            return super().conclude(done)
        verdict = super().conclude(results)
        if verdict.status == "skipped" and not self.gave_up:
            missing = len(results) - len(done)
            return Verdict("failed", f"{missing} of {len(results)} branches are not done. {verdict.text}")
        return verdict

    async def _bundle(self, group: PlannedScatterGather) -> Bundle:
        found = await ask_xcom(self.run_key, group.branches_task_id, "return_value", age=_BUNDLES_SECONDS)
        return Bundle.from_json(found[self.claimant.map_index])

    async def _require_items(self, job: SlurmJob) -> None:
        if job.unit is None:
            return
        transport = await transport_of(self.request.target)
        try:
            (await look_at_scattered(transport, self.store, job.unit.job_id)).items()
        except WorkItemsError:
            await reject_work_items(transport, self.store, job.unit.job_id)
            raise

    async def _may_gather(self, opened: OpenedRun, unit: Unit, asked: AskedJobs) -> bool:
        look = await self.patiently(lambda: self._look(unit))
        try:
            text = await self._unfinished(opened, unit, look, forced=unit.job_id in asked.forced)
        except WorkItemsError as error:
            text = str(error)
        if text is None or (look.gather == "done" and unit.job_id not in asked.forced):
            self._counts.setdefault(unit.job_id, 0)
            return True
        if look.gather == "failed" or await self._part_has_failed(opened):
            self._problems.append(text)
        else:
            self.narration.say(self.log.warning, text)
        return False

    async def _look(self, unit: Unit) -> Scattered:
        return await look_at_scattered(await transport_of(self.request.target), self.store, unit.job_id)

    async def _unfinished(self, opened: OpenedRun, unit: Unit, look: Scattered, *, forced: bool) -> str | None:
        """Why gather cannot run; `None` when it can."""
        if not look.has_scattered(self.claimant, forced=forced):
            paths = Unit(unit.job_id, "scatter").paths(self.store)
            why = f"scatter failed; log: {paths.stderr}" if look.scatter == "failed" else "scatter was not run"
            return f"{unit.job_id}: {why}. So gather cannot run."
        items = look.items()
        self._counts[unit.job_id] = len(items)
        job = opened.run.jobs[unit.job_id]

        transport = await transport_of(self.request.target)
        unfinished = await self.patiently(
            lambda: settle_remote_branches(transport, self.store, unit.job_id, job, items)
        )
        return describe_unfinished(unit.job_id, self.store, unfinished, len(items)) if unfinished else None

    async def _part_has_failed(self, opened: OpenedRun) -> bool:
        group = opened.group(self.request.stage)
        tasks = tuple(task_id for task_id in group.task_ids if task_id != group.gather.task_id)
        for state in ("failed", "upstream_failed"):
            if await ask_count(self.run_key, tasks, state, now=True):
                return True
        return False


def _may_be_cured(result: JobResult) -> bool:
    """Whether another try may end better than this result, which has nothing to do with the job itself."""
    return is_temporary(result) if isinstance(result, RepxError) else result.status == "lost"
