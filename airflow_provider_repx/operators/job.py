"""Jobs as tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_repx.errors import JobCancelledError, JobFailedError, LabError, RepxError
from airflow_provider_repx.execution.jobs import JobOutcome, JobRequest, cancel_local, run_job
from airflow_provider_repx.operators.base import RunTaskOperator, claimant_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.lab import JobId

__all__ = ["RepxJobOperator"]


class RepxJobOperator(RunTaskOperator):
    """Run the jobs of one stage that fall to this task's map index, on this worker's machine.

    A job that is done in the store is reused. A job whose upstream jobs are not done is skipped. A job that fails is
    final, whatever `retries` says, unless `retry_failed_jobs`: retries are for lost workers.

    :param stage: the task id of the planned stage
    :param gates: ids of the tasks that must have succeeded before any job of the run may start
    :param retry_failed_jobs: also try jobs again that exited with an error
    """

    ui_color = "#dcefe0"
    shallow_copy_attrs: Sequence[str] = (*RunTaskOperator.shallow_copy_attrs, "stage", "chain")

    def __init__(
        self, *, stage: str, gates: Sequence[str] = (), retry_failed_jobs: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.gates = list(gates)
        self.stage = self.plan.stages[stage]
        self.chain = next(chain for chain in self.plan.chains if self.stage in chain.stages)
        self.retry_failed_jobs = retry_failed_jobs
        self._running: JobRequest | None = None
        self._killed = False

    def point_label(self, map_index: int) -> str:
        """What the UI shows instead of a map index: the parameters of its first point, and how many follow."""
        points = self.chain.points_of(map_index)
        label = self.chain.labels[points.start]
        return label if len(points) == 1 else f"{label} (+{len(points) - 1})"

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Run or reuse each job; fail with all causes when any failed."""
        self._require_gates(context)
        self.require_same_lab(context)
        self.require_same_plan(context)
        wanted = self.wanted(context)
        map_index = context["ti"].map_index
        points = self.chain.points_of(-1 if map_index is None else map_index)
        mine = [self.stage.jobs[point] for point in points if self.stage.jobs[point] in wanted]
        if not mine:
            raise AirflowSkipException("Not among the jobs that this DAG run asks for (param `jobs`).")
        outcomes: list[JobOutcome] = []
        errors: list[RepxError] = []
        for number, job in enumerate(mine, start=1):
            if self._killed:
                break
            if len(mine) > 1:
                self.log.info("job %d of %d: %s", number, len(mine), job)
            failed = bool(errors) or any(outcome.status == "failed" for outcome in outcomes)
            try:
                outcome = self._run(job, context, failed=failed)
            except RepxError as error:
                # What keeps this job from running need not concern the other jobs of this task.
                self.log.error("%s: %s", job, error)  # noqa: TRY400 - its traceback follows when the task fails
                errors.append(error)
                continue
            if outcome is not None:
                outcomes.append(outcome)
        return self._conclude(mine, outcomes, errors)

    def _require_gates(self, context: Context) -> None:
        """Skip a task that runs whatever became of the tasks before it, when a gate before them did not open."""
        if self.trigger_rule != TriggerRule.ALL_DONE or not self.gates:
            return
        instance = context["ti"]
        passed = instance.get_ti_count(
            dag_id=instance.dag_id, run_ids=[instance.run_id], task_ids=self.gates, states=["success"]
        )
        if passed < len(self.gates):
            raise AirflowSkipException(f"Not every one of these has succeeded: {', '.join(self.gates)}.")

    def _run(self, job: JobId, context: Context, *, failed: bool) -> JobOutcome | None:
        """Run or reuse one job; `None` when it may not start. `failed`: another job of this task did."""
        force = bool(context["params"].get("force", False))
        producers = self.repx_run.jobs[job].producers
        done = self.store.succeeded((job, *producers))
        missing = sorted(set(producers) - done)
        reusable = job in done and not force
        if missing and not reusable:
            self.log.warning("%s is skipped: upstream jobs are not done: %s", job, ", ".join(missing))
            return None
        stop = not reusable and not context["params"].get("continue_on_failure", True)
        if stop and (failed or self._has_failures(context)):
            self.log.warning("%s is skipped: a job of this DAG run failed and continue_on_failure is false", job)
            return None
        request = JobRequest(
            lab=self.lab,
            run=self.plan.run,
            job_id=job,
            store=self.store,
            claimant=claimant_of(context),
            force=force,
        )
        self._running = request
        try:
            return None if self._killed else run_job(request)
        finally:
            self._running = None

    def on_kill(self) -> None:
        """Start no further job, and end the processes of the one that is running; `run_job` then says "cancelled"."""
        self._killed = True
        if self._running is not None:
            cancel_local(self.store, self._running.job_id, self._running.claimant)

    def _has_failures(self, context: Context) -> bool:
        # Of tasks with jobs only: when some are cleared, `summary` may still show the failure of before.
        instance = context["ti"]
        failures = instance.get_ti_count(
            dag_id=instance.dag_id, run_ids=[instance.run_id], task_ids=list(self.plan.stages), states=["failed"]
        )
        return bool(failures)

    def _conclude(self, mine: list[JobId], outcomes: list[JobOutcome], errors: list[RepxError]) -> list[dict[str, Any]]:
        for outcome in outcomes:
            self.log.info("%s", outcome.describe())
        failed = [outcome for outcome in outcomes if outcome.status == "failed"]
        if failed:
            text = "\n\n".join(outcome.describe() for outcome in failed)
            error = JobFailedError(text)
            if self.retry_failed_jobs:
                raise error
            raise AirflowFailException(text) from error
        if errors:
            # A lab does not change: another try would find the same.
            if all(isinstance(error, LabError) for error in errors):
                raise AirflowFailException("\n".join(map(str, errors))) from errors[0]
            raise errors[0]
        cancelled = [outcome for outcome in outcomes if outcome.status == "cancelled"]
        if cancelled:
            raise JobCancelledError("\n".join(outcome.describe() for outcome in cancelled))
        if self._killed and len(outcomes) < len(mine):
            raise JobCancelledError(f"stopped on request when {len(outcomes)} of {len(mine)} jobs had ended")
        if len(outcomes) < len(mine):
            raise AirflowSkipException(f"{len(mine) - len(outcomes)} of {len(mine)} jobs were not started; see above.")
        return [outcome.summary() for outcome in outcomes]
