"""Jobs as tasks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_repx.errors import JobCancelledError, JobFailedError, LabError
from airflow_provider_repx.execution.batches import BatchResult, LocalBatch
from airflow_provider_repx.operators.base import RunTaskOperator, claimant_of
from airflow_provider_repx.plan.instances import idle_instances
from airflow_provider_repx.skipping import skip_task_instances

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["RepxJobOperator"]

_REMEMBERED_SECONDS = 5.0
"""How long Airflow's answer counts that no task of the DAG run has failed."""

_TOLD = 5
"""Failed jobs whose whole story is told in the task's error."""


class RepxJobOperator(RunTaskOperator):
    """Run the jobs of one stage that fall to this task's map index, on this worker's machine.

    A job that is done in the store is reused. A job whose upstream jobs are not done is skipped. A job that fails is
    final, whatever `retries` says, unless `retry_failed_jobs`: retries are for lost workers. A task that holds several
    jobs runs as many at once as the plan says; each comes to its own end, and another try runs those not done.

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
        self._batch: LocalBatch | None = None
        self._killed = False

    def point_label(self, map_index: int) -> str:
        """What the UI shows instead of a map index: the parameters of its first point, and how many follow."""
        return self.chain.label_of(map_index)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run or reuse each job; fail with all causes when any failed. Returns how many came to which end."""
        self._require_gates(context)
        self.require_same_lab(context)
        self.require_same_plan(context)
        asked = self.asked(context)
        map_index = context["ti"].map_index
        points = self.chain.points_of(-1 if map_index is None else map_index)
        mine = [self.stage.jobs[point] for point in points if self.stage.jobs[point] in asked.wanted]
        if not mine:
            raise AirflowSkipException("Not among the jobs that this DAG run asks for (param `jobs`).")
        batch = LocalBatch(
            lab=self.lab,
            run=self.plan.run,
            jobs=mine,
            store=self.store,
            claimant=claimant_of(context),
            forced=asked.forced,
            parallel=self.stage.parallel,
        )
        if not self._goes_on_after_failures(context):
            batch.may_start = self._stops_at_failures(batch, context)
        self._batch = batch
        if self._killed:
            batch.stop()
        result = batch.settle()
        if result.with_status("failed") and not (self._goes_on_after_failures(context) or self.retry_failed_jobs):
            # Otherwise each of them would start a process, only to find that out.
            self.log.info("continue_on_failure is false: tasks that have not begun are skipped")
            skip_task_instances(idle_instances(self.plan, busy=()))
        self._conclude(result)
        jobs = [outcome.summary() for outcome in result.outcomes]
        # One XCom of a few hundred bytes, whatever the number of jobs; the store has the rest.
        return result.counts | ({"job": jobs[0]} if len(jobs) == 1 else {})

    def on_kill(self) -> None:
        """Start no further job, and end the processes of those that are running; they then end as cancelled."""
        self._killed = True
        if self._batch is not None:
            self._batch.stop()

    def _require_gates(self, context: Context) -> None:
        """Skip a task that runs whatever became of the tasks before it, when a gate before them did not open."""
        if self.trigger_rule == TriggerRule.ALL_SUCCESS or not self.gates:
            return
        instance = context["ti"]
        passed = instance.get_ti_count(
            dag_id=instance.dag_id, run_ids=[instance.run_id], task_ids=self.gates, states=["success"]
        )
        if passed < len(self.gates):
            raise AirflowSkipException(f"Not every one of these has succeeded: {', '.join(self.gates)}.")

    @staticmethod
    def _goes_on_after_failures(context: Context) -> bool:
        return bool(context["params"].get("continue_on_failure", True))

    def _stops_at_failures(self, batch: LocalBatch, context: Context) -> Callable[[], bool]:
        """A question whether no job has failed, of this task or of another one; asks Airflow every few seconds."""
        lock = threading.Lock()
        asked = -_REMEMBERED_SECONDS
        failed = False

        def may_start() -> bool:
            nonlocal asked, failed
            with lock:
                if not failed and time.monotonic() - asked >= _REMEMBERED_SECONDS:
                    failed = self._has_failures(context)
                    asked = time.monotonic()
                return not (failed or batch.has_failures)

        return may_start

    def _has_failures(self, context: Context) -> bool:
        # Of tasks with jobs only: when some are cleared, `summary` may still show the failure of before.
        instance = context["ti"]
        failures = instance.get_ti_count(
            dag_id=instance.dag_id, run_ids=[instance.run_id], task_ids=list(self.plan.task_ids), states=["failed"]
        )
        return bool(failures)

    def _conclude(self, result: BatchResult) -> None:
        """Raise what the task is to end with, unless every job is done."""
        failed = result.with_status("failed")
        if failed:
            text = "\n\n".join(outcome.describe() for outcome in failed[:_TOLD])
            if len(failed) > _TOLD:
                text += f"\n\n… and {len(failed) - _TOLD} more that failed; see above."
            error = JobFailedError(text)
            if self.retry_failed_jobs:
                raise error
            raise AirflowFailException(text) from error
        if result.errors:
            errors = list(result.errors.values())
            # A lab does not change: another try would find the same.
            if all(isinstance(error, LabError) for error in errors):
                raise AirflowFailException("\n".join(map(str, errors[:_TOLD]))) from errors[0]
            raise errors[0]
        cancelled = result.with_status("cancelled")
        if cancelled or result.left:
            ended = len(result.outcomes) - len(cancelled)
            words = [outcome.describe() for outcome in cancelled[:_TOLD]]
            words.append(
                f"stopped on request when {ended} of {ended + len(cancelled) + len(result.left)} jobs had ended"
            )
            raise JobCancelledError("\n".join(words))
        if result.skipped:
            number = len(result.skipped)
            raise AirflowSkipException(f"{number} of {number + len(result.outcomes)} jobs were not started; see above.")
