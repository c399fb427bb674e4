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
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.execution.units import Unit, prepare_unit
from airflow_provider_repx.lab import JobId
from airflow_provider_repx.links import slurm_links
from airflow_provider_repx.pinned import LAB_ID_KEY, OPEN_LAB_TASK_ID, PLAN_KEY, compare_lab, compare_plan
from airflow_provider_repx.plan.asked import AskedJobs
from airflow_provider_repx.triggers.slurm.base import SlurmTrigger, is_temporary
from airflow_provider_repx.triggers.slurm.clusters import apart, cluster_of, share_of
from airflow_provider_repx.triggers.slurm.plans import OpenedRun, opened_run
from airflow_provider_repx.triggers.slurm.questions import RunKey, ask_count, ask_xcom
from airflow_provider_repx.triggers.slurm.stage_request import StageRequest
from airflow_provider_repx.triggers.slurm.verdict import Verdict

__all__ = ["LAB_ROOT_KEY", "SlurmStageTrigger"]

LAB_ROOT_KEY = "lab_root"
"""XCom of the task that ships the lab: where the target has it."""

_LOOK_SECONDS = 5.0
"""Between looks at whether a job of the DAG run has failed."""

_TOLD = 5
"""Failed jobs whose whole story is told in the task's error."""

_Result: TypeAlias = SlurmOutcome | RepxError
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
        self._started: set[str] = set()
        self._gave_up = False

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
        instance: Any = self.task_instance
        return dict(instance.get_template_context()["params"])

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
        if not (mine := self._mine(opened, asked)):
            return Verdict("skipped", "Not among the jobs that this DAG run asks for (param `jobs`).")
        cluster = await cluster_of(self.request.target)
        self._jobs = await asyncio.to_thread(self._prepared, opened, mine, asked, await self._lab_root())
        verdict = self._conclude(results := await self._run_all(cluster, opened))
        return replace(verdict, xcoms={**self._links(results), **verdict.xcoms})

    async def cancel(self) -> None:
        """End the jobs of this very try, also those that a trigger before this one has submitted."""
        opened = await opened_run(self.request)
        store = OutputStore(self.request.target.base_path)
        cluster = await cluster_of(self.request.target)
        await cluster.cancel([JobKey(self.claimant, store.job(job_id)) for job_id in self._all(opened)])

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
            await ask_count(self.run_key, tasks, "failed") > 0
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

    def _mine(self, opened: OpenedRun, asked: AskedJobs) -> list[JobId]:
        """The wanted jobs of this map index."""
        return [job_id for job_id in self._all(opened) if job_id in asked.wanted]

    def _all(self, opened: OpenedRun) -> list[JobId]:
        stage = opened.stage(self.request.stage)
        return [stage.jobs[point] for point in opened.chain(stage).points_of(self.claimant.map_index)]

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

    def _prepared(
        self, opened: OpenedRun, mine: Sequence[JobId], asked: AskedJobs, lab_root: Path | None
    ) -> list[SlurmJob]:
        target = self.request.target
        store = OutputStore(target.base_path)
        stage = opened.stage(self.request.stage)
        jobs = []
        for job_id in mine:
            resources = opened.resources(job_id, target)
            jobs.append(
                SlurmJob.of_unit(
                    prepare_unit(opened.lab, opened.run, Unit(job_id), store, lab_root=lab_root),
                    Directives.of(resources, target.slurm),
                    self.claimant,
                    force=job_id in asked.forced,
                    share=share_of(stage, resources, target),
                )
            )
        return jobs

    async def _run_all(self, cluster: SlurmCluster, opened: OpenedRun) -> list[_Result]:
        """All jobs at once; those that have not begun are given up when the DAG run is to stop."""
        tasks = [asyncio.ensure_future(self._run(cluster, job)) for job in self._jobs]
        try:
            pending: set[asyncio.Future[_Result]] = set(tasks)
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
    def _failed(tasks: Sequence[asyncio.Future[_Result]]) -> bool:
        ended = [task.result() for task in tasks if task.done()]
        return any(isinstance(result, SlurmOutcome) and result.status == "failed" for result in ended)

    async def _give_up(self, cluster: SlurmCluster) -> None:
        """Cancel the jobs that do not run yet."""
        self._gave_up = True
        self.log.warning("A job of this DAG run failed, and continue_on_failure is false: nothing more is started.")
        await cluster.cancel([JobKey(job.claimant, job.paths) for job in self._jobs if job.name not in self._started])

    async def _run(self, cluster: SlurmCluster, job: SlurmJob) -> _Result:
        tell = self.narrator(job.name if len(self._jobs) > 1 else "")

        def progress(news: Progress) -> None:
            if news.node:
                self._started.add(job.name)
            tell(news.text)

        try:
            outcome = await apart(cluster.run(job, progress))
        except RepxError as error:
            # What keeps this job from running need not concern the other jobs of this task.
            return error
        if outcome.status == "succeeded":
            self.log.info("%s", outcome.describe())
        return outcome

    def _links(self, results: Sequence[_Result]) -> dict[str, str]:
        """Of the first job that did not succeed, else of the first one."""
        outcomes = [result for result in results if isinstance(result, SlurmOutcome)]
        outcomes.sort(key=lambda outcome: outcome.status == "succeeded")
        if not outcomes:
            return {}
        return slurm_links(self.request.target.slurm, outcomes[0].slurm_id, outcomes[0].stderr)

    def _conclude(self, results: Sequence[_Result]) -> Verdict:
        outcomes = [result for result in results if isinstance(result, SlurmOutcome)]
        waiting = [result for result in results if isinstance(result, JobInputError)]
        errors = [result for result in results if isinstance(result, RepxError) and result not in waiting]
        for status in ("failed", "lost"):
            if found := [outcome.describe() for outcome in outcomes if outcome.status == status]:
                return Verdict("failed", told(found), retry=status == "lost" or self.request.retry_failed_jobs)
        if errors:
            return Verdict("failed", told(list(map(str, errors))), retry=all(map(is_temporary, errors)))
        cancelled = [outcome.describe() for outcome in outcomes if outcome.status == "cancelled"]
        if cancelled and not self._gave_up:
            return Verdict("failed", told(cancelled))
        done = [outcome for outcome in outcomes if outcome.status == "succeeded"]
        if len(done) < len(results):
            missing = len(results) - len(done)
            why = told(list(map(str, waiting)))
            return Verdict(
                "skipped", f"{missing} of {len(results)} jobs were not started or were given up. {why}".strip()
            )
        counts: dict[str, Any] = {"jobs": len(done), "reused": sum(outcome.reused for outcome in done)}
        # A few hundred bytes, whatever the number of jobs; the store has the rest.
        return Verdict(
            "success", xcoms={"return_value": counts | ({"job": done[0].summary()} if len(done) == 1 else {})}
        )


def told(texts: Sequence[str]) -> str:
    """The first of several texts, and how many follow."""
    more = f"\n\n… and {len(texts) - _TOLD} more; see above." if len(texts) > _TOLD else ""
    return "\n\n".join(texts[:_TOLD]) + more
