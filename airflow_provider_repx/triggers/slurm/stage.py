"""The jobs of a planned stage on Slurm, one trigger per task instance."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from airflow_provider_repx.errors import JobInputError, LabChangedError, LabLookupError, RepxError
from airflow_provider_repx.execution.slurm import Directives, JobKey, Progress, SlurmCluster, SlurmJob, SlurmOutcome
from airflow_provider_repx.execution.store import JobPaths, OutputStore
from airflow_provider_repx.execution.units import Unit, prepare_unit
from airflow_provider_repx.links import slurm_links
from airflow_provider_repx.pinned import LAB_ID_KEY, OPEN_LAB_TASK_ID, PLAN_KEY, compare_lab, compare_plan
from airflow_provider_repx.plan import PlannedPart, PlannedStage
from airflow_provider_repx.plan.asked import AskedJobs
from airflow_provider_repx.triggers.slurm.base import SlurmTrigger, is_temporary
from airflow_provider_repx.triggers.slurm.clusters import apart, cluster_of, share_of
from airflow_provider_repx.triggers.slurm.plans import OpenedRun, opened_run
from airflow_provider_repx.triggers.slurm.questions import RunKey, ask_count, ask_xcom
from airflow_provider_repx.triggers.slurm.run_params import run_params
from airflow_provider_repx.triggers.slurm.stage_request import StageRequest
from airflow_provider_repx.triggers.slurm.verdict import Verdict

__all__ = ["LAB_ROOT_KEY", "JobResult", "SlurmStageTrigger"]

LAB_ROOT_KEY = "lab_root"
"""XCom of the task that ships the lab: where the target has it."""

_LOOK_SECONDS = 5.0
"""Between looks at whether a job of the DAG run has failed."""

_FAILURE_SECONDS = 1.0
"""How old the news that no job has failed may be when another one is started that must not be after a failure."""

_TOLD = 5
"""Failed jobs whose whole story is told in the task's error."""

JobResult: TypeAlias = SlurmOutcome | RepxError
"""How a job ended, or why it could not be run."""


class SlurmStageTrigger(SlurmTrigger):
    """Run the jobs that fall to a task's map index.

    :param request: a `StageRequest` as text
    :param claimant: on whose behalf, as JSON; absent when the task starts from the triggerer
    :param params: the DAG run's params; absent when the task starts from the triggerer, where the context has them
    """

    def __init__(self, *, request: str, claimant: str | None = None, params: dict[str, Any] | None = None) -> None:
        super().__init__(claimant=claimant)
        self.request_text = request
        self.given_params = params
        self._jobs: Sequence[SlurmJob] = ()
        self._folders: Sequence[JobPaths] = ()
        self._started: set[str] = set()
        self.gave_up = False

    def arguments(self) -> dict[str, Any]:
        """What makes another trigger like this one, besides the claimant."""
        return {"request": self.request_text, "params": self.given_params}

    @cached_property
    def request(self) -> StageRequest:
        """What the task asks for."""
        return StageRequest.load(self.request_text)

    @cached_property
    def params(self) -> dict[str, Any]:
        """The DAG run's params."""
        if self.given_params is not None:
            return self.given_params
        return run_params(self.task_instance)

    @cached_property
    def run_key(self) -> RunKey:
        """The DAG run."""
        return RunKey.of(self.claimant)

    async def verdict(self) -> Verdict:
        """Run or reuse each job."""
        opened = await opened_run(self.request)
        if hindrance := await self._hindrance(opened):
            return hindrance
        try:
            asked = self._asked(opened)
        except LabLookupError as error:
            return Verdict("failed", f"param `jobs`: {error}")
        units = [unit for unit in await self.units(opened) if unit.job_id in asked.wanted]
        if not units:
            return Verdict("skipped", "Not among the jobs that this DAG run asks for (param `jobs`).")
        cluster = await cluster_of(self.request.target)
        units = await self.startable(opened, units, asked)
        self._folders = await self.folders(opened)
        self._jobs = await asyncio.to_thread(self.prepare, opened, units, asked, await self._lab_root())
        verdict = self.conclude(results := await self._run_all(cluster, opened))
        return replace(verdict, xcoms={**self._links(results), **verdict.xcoms})

    async def cancel(self) -> None:
        """End the jobs of this very try, also those that a trigger before this one has submitted."""
        cluster = await cluster_of(self.request.target)
        # Once they are known the lab is not needed for it, which may be gone.
        if not self._folders:
            self._folders = await self.folders(await opened_run(self.request))
        await cluster.cancel([JobKey(self.claimant, folder) for folder in self._folders])

    async def _hindrance(self, opened: OpenedRun) -> Verdict | None:
        """Why nothing may be run at all: another lab, another plan, a gate that has not opened."""
        lab = opened.lab.reference(self.request.lab_name)
        for now in (False, True):
            try:
                compare_lab(await ask_xcom(self.run_key, OPEN_LAB_TASK_ID, LAB_ID_KEY, now=now), lab)
                compare_plan(await ask_xcom(self.run_key, OPEN_LAB_TASK_ID, PLAN_KEY, now=now), opened.plan)
                break
            except LabChangedError as error:
                # What is remembered may be from before that task was cleared and run again.
                if now:
                    return Verdict("failed", str(error))
        gates = self.request.gates
        if gates and not await self._are_open(gates):
            return Verdict("skipped", f"Not every one of these has succeeded: {', '.join(gates)}.")
        if await self._must_stop(opened):
            return Verdict("skipped", "A job of this DAG run failed, and continue_on_failure is false.")
        return None

    async def _are_open(self, gates: Sequence[str]) -> bool:
        # What is remembered may be from before a gate was cleared and opened after all.
        return await ask_count(self.run_key, gates, "success") >= len(gates) or await ask_count(
            self.run_key, gates, "success", now=True
        ) >= len(gates)

    async def _must_stop(self, opened: OpenedRun) -> bool:
        """Whether a job of the DAG run has failed and that shall stop it."""
        if self.params.get("continue_on_failure", True):
            return False
        tasks = tuple(opened.plan.task_ids)
        # What is remembered may be from before the failed tasks were cleared.
        return (
            await ask_count(self.run_key, tasks, "failed", age=_FAILURE_SECONDS) > 0
            and await ask_count(self.run_key, tasks, "failed", now=True) > 0
        )

    def _asked(self, opened: OpenedRun) -> AskedJobs:
        """What the DAG run asks for; raises `LabLookupError` for a pattern that matches no job."""
        params = self.params
        return opened.asked(
            tuple(params.get("jobs") or ()),
            downstream=bool(params.get("downstream", False)),
            force=bool(params.get("force", False)),
        )

    @property
    def store(self) -> OutputStore:
        """The output store, by its paths on the target."""
        return OutputStore(self.request.target.base_path)

    async def units(self, opened: OpenedRun) -> list[Unit]:
        """What falls to this map index."""
        stage = opened.stage(self.request.stage)
        return [Unit(stage.jobs[point]) for point in opened.chain(stage).points_of(self.claimant.map_index)]

    async def folders(self, opened: OpenedRun) -> Sequence[JobPaths]:
        """Where this try may have claims."""
        return [unit.paths(self.store) for unit in await self.units(opened)]

    async def startable(self, opened: OpenedRun, units: list[Unit], asked: AskedJobs) -> list[Unit]:  # noqa: ARG002 - for subclasses
        """Those of the wanted units that may be started, or reused."""
        return units

    def planned(self, opened: OpenedRun, unit: Unit) -> PlannedStage | PlannedPart:  # noqa: ARG002 - for subclasses
        """Whose pool and slots a unit takes."""
        return opened.stage(self.request.stage)

    def branches(self, unit: Unit) -> int | None:  # noqa: ARG002 - for subclasses
        """How many work items there are, where that has to be known."""
        return None

    async def _lab_root(self) -> Path | None:
        """Where the target has the lab; `None` where it sees the lab's own folder."""
        if self.request.sync_task is None:
            return None
        told = await ask_xcom(self.run_key, self.request.sync_task, LAB_ROOT_KEY)
        if told is None:
            raise LabChangedError(
                f"Task {self.request.sync_task} has not succeeded in this DAG run, so the target does not have the lab."
                f" Nothing was run. Clear {self.request.sync_task} with everything downstream."
            )
        return Path(str(told))

    def prepare(
        self, opened: OpenedRun, units: Sequence[Unit], asked: AskedJobs, lab_root: Path | None
    ) -> list[SlurmJob]:
        """What the cluster is asked for."""
        return [self.slurm_job(opened, unit, asked, lab_root) for unit in units]

    def slurm_job(self, opened: OpenedRun, unit: Unit, asked: AskedJobs, lab_root: Path | None) -> SlurmJob:
        """One unit, as the cluster takes it."""
        target = self.request.target
        resources = opened.resources(unit, target)
        return SlurmJob.of_unit(
            prepare_unit(opened.lab, opened.run, unit, self.store, lab_root=lab_root, branches=self.branches(unit)),
            Directives.of(resources, target.slurm),
            self.claimant,
            force=unit.job_id in asked.forced,
            share=share_of(self.planned(opened, unit), resources, target),
        )

    async def _run_all(self, cluster: SlurmCluster, opened: OpenedRun) -> list[JobResult]:
        """All jobs at once; those that have not begun are given up when the DAG run is to stop."""
        tasks = [asyncio.ensure_future(self.run_job(cluster, job)) for job in self._jobs]
        try:
            pending: set[asyncio.Future[JobResult]] = set(tasks)
            while pending:
                _, pending = await asyncio.wait(pending, timeout=_LOOK_SECONDS if self._watches else None)
                if pending and self._watches and (self._failed(tasks) or await self._must_stop(opened)):
                    await self._give_up(cluster)
                    await asyncio.wait(pending)
                    break
        finally:
            # Only where this trigger ends before they do: nothing in Slurm is touched by that.
            for task in tasks:
                task.cancel()
        return [task.result() for task in tasks]

    @property
    def _watches(self) -> bool:
        return not self.params.get("continue_on_failure", True)

    @staticmethod
    def _failed(tasks: Sequence[asyncio.Future[JobResult]]) -> bool:
        ended = [task.result() for task in tasks if task.done()]
        return any(isinstance(result, SlurmOutcome) and result.status == "failed" for result in ended)

    async def _give_up(self, cluster: SlurmCluster) -> None:
        """Cancel the jobs that do not run yet."""
        self.gave_up = True
        self.narration.say(
            self.log.warning, "A job of this DAG run failed, and continue_on_failure is false: nothing more is started."
        )
        await cluster.cancel([JobKey(job.claimant, job.paths) for job in self._jobs if job.name not in self._started])

    async def run_job(self, cluster: SlurmCluster, job: SlurmJob) -> JobResult:
        """Run or reuse one, to its end."""
        tell = self.narrator(job.name, named=len(self._jobs) > 1)

        def progress(news: Progress) -> None:
            if news.node:
                self._started.add(job.name)
            tell(news.text)

        if len(self._jobs) == 1:
            self.narration.tell(f"log: {job.paths.stderr}; stdout.log is beside it")
        try:
            outcome = await self.patiently(lambda: apart(cluster.run(job, progress)), given_up=lambda: self.gave_up)
        except RepxError as error:
            # What keeps this job from running need not concern the other jobs of this task.
            return error
        if outcome.status == "succeeded":
            self.narration.conclude(outcome.describe(), job=job.name)
        return outcome

    def _links(self, results: Sequence[JobResult]) -> dict[str, str]:
        """Of the first job that did not succeed, else of the first one."""
        outcomes = [result for result in results if isinstance(result, SlurmOutcome)]
        outcomes.sort(key=lambda outcome: outcome.status == "succeeded")
        if not outcomes:
            return {}
        return slurm_links(self.request.target.slurm, outcomes[0].slurm_id, outcomes[0].stderr)

    def conclude(self, results: Sequence[JobResult]) -> Verdict:
        """What the task comes to."""
        outcomes = [result for result in results if isinstance(result, SlurmOutcome)]
        waiting = [result for result in results if isinstance(result, JobInputError)]
        errors = [result for result in results if isinstance(result, RepxError) and result not in waiting]
        for status in ("failed", "lost"):
            if found := [outcome.describe() for outcome in outcomes if outcome.status == status]:
                return Verdict("failed", _told(found), retry=status == "lost" or self.request.retry_failed_jobs)
        if errors:
            return Verdict("failed", _told(list(map(str, errors))), retry=all(map(is_temporary, errors)))
        cancelled = [outcome.describe() for outcome in outcomes if outcome.status == "cancelled"]
        if cancelled and not self.gave_up:
            return Verdict("failed", _told(cancelled))
        done = [outcome for outcome in outcomes if outcome.status == "succeeded"]
        if len(done) < len(results):
            missing = len(results) - len(done)
            why = _told(list(map(str, waiting)))
            return Verdict(
                "skipped", f"{missing} of {len(results)} jobs were not started or were given up. {why}".strip()
            )
        if not self.request.push:
            return Verdict("success")
        reused = sum(outcome.reused for outcome in done)
        counts: dict[str, Any] = {"jobs": len(done), "reused": reused, "executed": len(done) - reused}
        # A few hundred bytes, whatever the number of jobs; the store has the rest.
        return Verdict(
            "success", xcoms={"return_value": counts | ({"job": done[0].summary()} if len(done) == 1 else {})}
        )


def _told(texts: Sequence[str]) -> str:
    """The first of several texts, and how many follow."""
    more = f"\n\n… and {len(texts) - _TOLD} more; see above." if len(texts) > _TOLD else ""
    return "\n\n".join(texts[:_TOLD]) + more
