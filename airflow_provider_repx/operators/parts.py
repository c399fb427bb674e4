"""What the tasks of a scatter-gather job have in common: which units they take, and what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_repx.errors import JobCancelledError, JobFailedError, LabError, RepxError
from airflow_provider_repx.execution.jobs import JobOutcome, JobRequest, cancel_local, is_done, run_job
from airflow_provider_repx.operators.base import RunTaskOperator, claimant_of
from airflow_provider_repx.plan.instances import idle_instances
from airflow_provider_repx.skipping import skip_task_instances

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.execution.units import Unit
    from airflow_provider_repx.plan.asked import AskedJobs

__all__ = ["PartOperator"]

_TOLD = 5
"""Failures whose whole story is told in the task's error."""


class PartOperator(RunTaskOperator):
    """Base of the tasks of one scatter-gather stage (or one job of it), run on this worker's machine.

    What they take are units, found from the map index; `run_unit` is all that depends on where they run.

    :param group: the group id of the planned scatter-gather stage
    :param gates: ids of the tasks that must have succeeded before any job of the run may start
    :param retry_failed_jobs: also try again what exited with an error
    """

    ui_color = "#dcefe0"
    shallow_copy_attrs: Sequence[str] = (*RunTaskOperator.shallow_copy_attrs, "group")

    def __init__(
        self, *, group: str, gates: Sequence[str] = (), retry_failed_jobs: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.group = next(planned for planned in self.plan.scatter_gathers if planned.group_id == group)
        self.gates = list(gates)
        self.retry_failed_jobs = retry_failed_jobs
        self._running: JobRequest | None = None
        self._killed = False
        self._asked: AskedJobs | None = None

    def point_label(self, map_index: int) -> str:
        """What the UI shows instead of a map index of scatter or gather."""
        return self.group.label_of(map_index)

    def begin(self, context: Context) -> AskedJobs:
        """Check what every task checks first; the jobs that the DAG run asks for."""
        self._require_gates(context)
        self.require_same_lab(context)
        self.require_same_plan(context)
        self._asked = self.asked(context)
        return self._asked

    def request(self, unit: Unit, context: Context) -> JobRequest:
        """How a unit is asked for."""
        return JobRequest(
            lab=self.lab,
            run=self.plan.run,
            job_id=unit.job_id,
            store=self.store,
            claimant=claimant_of(context),
            force=self._asked is not None and unit.job_id in self._asked.forced,
            part=unit.part,
            branch=unit.branch,
            step=unit.step,
        )

    def unit_is_done(self, unit: Unit, context: Context) -> bool:
        """Whether the unit would be reused."""
        return is_done(self.request(unit, context))

    def run_unit(self, unit: Unit, context: Context) -> JobOutcome | None:
        """Run or reuse a unit; `None` when the task was stopped before."""
        self._running = self.request(unit, context)
        try:
            return None if self._killed else run_job(self._running)
        finally:
            self._running = None

    def on_kill(self) -> None:
        """Start nothing any more, and end the processes of what is running; `run_job` then says "cancelled"."""
        self._killed = True
        running = self._running
        if running is not None:
            cancel_local(self.store, running.unit, running.claimant)

    @property
    def killed(self) -> bool:
        """Whether the task was told to stop."""
        return self._killed

    def is_stopped_by_failure(self, context: Context) -> bool:
        """Whether nothing may be started any more, since a job failed and `continue_on_failure` is off."""
        if context["params"].get("continue_on_failure", True):
            return False
        return self.count(context, list(self.plan.task_ids), "failed") > 0

    def count(self, context: Context, task_ids: list[str], *states: str) -> int:
        """How many instances of these tasks of this DAG run are in these states."""
        instance = context["ti"]
        found: int = instance.get_ti_count(
            dag_id=instance.dag_id, run_ids=[instance.run_id], task_ids=task_ids, states=list(states)
        )
        return found

    def raise_failure(self, context: Context, outcomes: Sequence[JobOutcome], errors: Sequence[RepxError] = ()) -> None:
        """Raise what the worst of these ends tells Airflow; nothing when all succeeded.

        A failed script is final unless `retry_failed_jobs`, and so is what is wrong with the lab, since neither changes
        by itself.
        """
        failed = [outcome for outcome in outcomes if outcome.status == "failed"]
        if failed:
            if not context["params"].get("continue_on_failure", True) and not self.retry_failed_jobs:
                # Otherwise each of them would start a process, only to find that out.
                self.log.info("continue_on_failure is false: tasks that have not begun are skipped")
                skip_task_instances(idle_instances(self.plan, busy=()))
            text = "\n\n".join(outcome.describe() for outcome in failed[:_TOLD])
            if len(failed) > _TOLD:
                text += f"\n\n… and {len(failed) - _TOLD} more that failed; see above."
            error = JobFailedError(text)
            if self.retry_failed_jobs:
                raise error
            raise AirflowFailException(text) from error
        if errors:
            if all(isinstance(error, LabError) for error in errors):
                raise AirflowFailException("\n".join(map(str, errors[:_TOLD]))) from errors[0]
            raise errors[0]
        cancelled = [outcome for outcome in outcomes if outcome.status == "cancelled"]
        if cancelled:
            raise JobCancelledError("\n".join(outcome.describe() for outcome in cancelled))
        if self._killed:
            raise JobCancelledError("stopped on request")

    def fail(self, text: str) -> None:
        """End the task as failed for good."""
        raise AirflowFailException(text) from JobFailedError(text)

    def _require_gates(self, context: Context) -> None:
        """Skip a task that runs whatever became of the tasks before it, when a gate before them did not open."""
        if self.trigger_rule == TriggerRule.ALL_SUCCESS or not self.gates:
            return
        if self.count(context, self.gates, "success") < len(self.gates):
            raise AirflowSkipException(f"Not every one of these has succeeded: {', '.join(self.gates)}.")
