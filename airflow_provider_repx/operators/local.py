"""What the tasks have in common that run jobs, or parts of them, on their worker's own machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_repx.errors import JobFailedError, LabError
from airflow_provider_repx.operators.base import RunTaskOperator
from airflow_provider_repx.plan.instances import idle_instances
from airflow_provider_repx.skipping import skip_task_instances

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.execution.jobs import JobOutcome

__all__ = ["TOLD", "LocalTaskOperator"]

TOLD = 5
"""Failures whose whole story is told in the task's error."""


class LocalTaskOperator(RunTaskOperator):
    """Base of the tasks that run jobs, or parts of them, on this worker's machine.

    :param gates: ids of the tasks that must have succeeded before any job of the run may start
    :param retry_failed_jobs: also try again what exited with an error
    """

    ui_color = "#dcefe0"

    def __init__(self, *, gates: Sequence[str] = (), retry_failed_jobs: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gates = list(gates)
        self.retry_failed_jobs = retry_failed_jobs
        self.killed = False

    def require_gates(self, context: Context) -> None:
        """Skip a task that runs whatever became of the tasks before it, when a gate before them did not open."""
        if self.trigger_rule == TriggerRule.ALL_SUCCESS or not self.gates:
            return
        if self.count(context, self.gates, "success") < len(self.gates):
            raise AirflowSkipException(f"Not every one of these has succeeded: {', '.join(self.gates)}.")

    @staticmethod
    def count(context: Context, task_ids: Sequence[str], *states: str) -> int:
        """How many instances of these tasks of this DAG run are in these states."""
        instance = context["ti"]
        found: int = instance.get_ti_count(
            dag_id=instance.dag_id, run_ids=[instance.run_id], task_ids=list(task_ids), states=list(states)
        )
        return found

    @staticmethod
    def goes_on_after_failures(context: Context) -> bool:
        """Whether other jobs are started once one has failed: the param `continue_on_failure`."""
        return bool(context["params"].get("continue_on_failure", True))

    def has_failures(self, context: Context) -> bool:
        """Whether a task with jobs has failed; the failure of `summary` may be from before some were cleared."""
        return self.count(context, self.plan.task_ids, "failed") > 0

    def raise_failed(self, context: Context, failed: Sequence[JobOutcome]) -> None:
        """Raise what scripts that failed tell Airflow: an end for good, unless `retry_failed_jobs`.

        Where the DAG run is to stop at a failure, what has not begun is skipped.
        """
        if not failed:
            return
        if not (self.goes_on_after_failures(context) or self.retry_failed_jobs):
            # Otherwise each of them would start a process, only to find that out.
            self.log.info("continue_on_failure is false: tasks that have not begun are skipped")
            skip_task_instances(idle_instances(self.plan, busy=()))
        text = "\n\n".join(outcome.describe() for outcome in failed[:TOLD])
        if len(failed) > TOLD:
            text += f"\n\n… and {len(failed) - TOLD} more that failed; see above."
        error = JobFailedError(text)
        if self.retry_failed_jobs:
            raise error
        raise AirflowFailException(text) from error

    @staticmethod
    def raise_errors(errors: Sequence[Exception]) -> None:
        """Raise what kept jobs from being run: for good where all is about the lab, which does not change."""
        if not errors:
            return
        if all(isinstance(error, LabError) for error in errors):
            raise AirflowFailException("\n".join(map(str, errors[:TOLD]))) from errors[0]
        raise errors[0]
