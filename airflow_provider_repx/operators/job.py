"""Jobs as tasks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_repx.errors import JobCancelledError
from airflow_provider_repx.execution.batches import BatchResult, LocalBatch
from airflow_provider_repx.operators.base import claimant_of
from airflow_provider_repx.operators.local import TOLD, LocalTaskOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["RepxJobOperator"]

_REMEMBERED_SECONDS = 5.0
"""How long Airflow's answer counts that no task of the DAG run has failed."""


class RepxJobOperator(LocalTaskOperator):
    """Run the jobs of one stage that fall to this task's map index, on this worker's machine.

    A job that is done in the store is reused. A job whose upstream jobs are not done is skipped. A job that fails is
    final, whatever `retries` says, unless `retry_failed_jobs`: retries are for lost workers. A task that holds several
    jobs runs as many at once as the plan says; each comes to its own end, and another try runs those not done.

    :param stage: the task id of the planned stage

    The other arguments are those of `LocalTaskOperator`.
    """

    shallow_copy_attrs: Sequence[str] = (*LocalTaskOperator.shallow_copy_attrs, "stage", "chain")

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = self.plan.stages[stage]
        self.chain = next(chain for chain in self.plan.chains if self.stage in chain.stages)
        self._batch: LocalBatch | None = None

    def point_label(self, map_index: int) -> str:
        """What the UI shows instead of a map index: the parameters of its first point, and how many follow."""
        return self.chain.label_of(map_index)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run or reuse each job; fail with all causes when any failed. Returns how many came to which end."""
        self.require_gates(context)
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
        if not self.goes_on_after_failures(context):
            batch.may_start = self._stops_at_failures(batch, context)
        self._batch = batch
        if self.killed:
            batch.stop()
        result = batch.settle()
        self._conclude(result, context)
        jobs = [outcome.summary() for outcome in result.outcomes]
        # One XCom of a few hundred bytes, whatever the number of jobs; the store has the rest.
        return result.counts | ({"job": jobs[0]} if len(jobs) == 1 else {})

    def on_kill(self) -> None:
        """Start no further job, and end the processes of those that are running; they then end as cancelled."""
        self.killed = True
        if self._batch is not None:
            self._batch.stop()

    def _stops_at_failures(self, batch: LocalBatch, context: Context) -> Callable[[], bool]:
        """A question whether no job has failed, of this task or of another one; asks Airflow every few seconds."""
        lock = threading.Lock()
        asked = -_REMEMBERED_SECONDS
        failed = False

        def may_start() -> bool:
            nonlocal asked, failed
            with lock:
                if not failed and time.monotonic() - asked >= _REMEMBERED_SECONDS:
                    failed = self.has_failures(context)
                    asked = time.monotonic()
                return not (failed or batch.has_failures)

        return may_start

    def _conclude(self, result: BatchResult, context: Context) -> None:
        """Raise what the task is to end with, unless every job is done."""
        self.raise_failed(context, result.with_status("failed"))
        self.raise_errors(tuple(result.errors.values()))
        cancelled = result.with_status("cancelled")
        if cancelled or result.left:
            ended = len(result.outcomes) - len(cancelled)
            words = [outcome.describe() for outcome in cancelled[:TOLD]]
            if self.killed:
                words.append(
                    f"stopped on request when {ended} of {ended + len(cancelled) + len(result.left)} jobs had ended"
                )
            raise JobCancelledError("\n".join(words))
        if result.skipped:
            number = len(result.skipped)
            raise AirflowSkipException(f"{number} of {number + len(result.outcomes)} jobs were not started; see above.")
