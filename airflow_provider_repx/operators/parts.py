"""What the tasks of a scatter-gather job have in common: which units they take, and what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_repx.errors import JobCancelledError, JobFailedError, RepxError
from airflow_provider_repx.execution.jobs import JobOutcome, JobRequest, cancel_local, is_done, run_job
from airflow_provider_repx.operators.base import claimant_of
from airflow_provider_repx.operators.local import LocalTaskOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.execution.units import Unit
    from airflow_provider_repx.plan.asked import AskedJobs

__all__ = ["PartOperator"]


class PartOperator(LocalTaskOperator):
    """Base of the tasks of one scatter-gather stage (or one job of it), run on this worker's machine.

    What they take are units, found from the map index; `run_unit` is all that depends on where they run.

    :param group: the group id of the planned scatter-gather stage

    The other arguments are those of `LocalTaskOperator`.
    """

    shallow_copy_attrs: Sequence[str] = (*LocalTaskOperator.shallow_copy_attrs, "group")

    def __init__(self, *, group: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = next(planned for planned in self.plan.scatter_gathers if planned.group_id == group)
        self._running: JobRequest | None = None
        self._asked: AskedJobs | None = None

    def point_label(self, map_index: int) -> str:
        """What the UI shows instead of a map index of scatter or gather."""
        return self.group.label_of(map_index)

    def begin(self, context: Context) -> AskedJobs:
        """Check what every task checks first; the jobs that the DAG run asks for."""
        self.require_gates(context)
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
            return None if self.killed else run_job(self._running)
        finally:
            self._running = None

    def on_kill(self) -> None:
        """Start nothing any more, and end the processes of what is running; `run_job` then says "cancelled"."""
        self.killed = True
        running = self._running
        if running is not None:
            cancel_local(self.store, running.unit, running.claimant)

    def is_stopped_by_failure(self, context: Context) -> bool:
        """Whether nothing may be started any more, since a job failed and `continue_on_failure` is off."""
        return not self.goes_on_after_failures(context) and self.has_failures(context)

    def raise_failure(self, context: Context, outcomes: Sequence[JobOutcome], errors: Sequence[RepxError] = ()) -> None:
        """Raise what the worst of these ends tells Airflow; nothing when all succeeded.

        A failed script is final unless `retry_failed_jobs`, and so is what is wrong with the lab, since neither changes
        by itself.
        """
        self.raise_failed(context, [outcome for outcome in outcomes if outcome.status == "failed"])
        self.raise_errors(errors)
        cancelled = [outcome for outcome in outcomes if outcome.status == "cancelled"]
        if cancelled:
            raise JobCancelledError("\n".join(outcome.describe() for outcome in cancelled))
        if self.killed:
            raise JobCancelledError("stopped on request")

    def fail(self, text: str) -> None:
        """End the task as failed for good."""
        raise AirflowFailException(text) from JobFailedError(text)
