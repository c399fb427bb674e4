"""The last task of a run's DAG."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_repx.execution.store import JobStatus, reconcile, results
from airflow_provider_repx.operators.base import RunTaskOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["RunSummaryOperator"]


class RunSummaryOperator(RunTaskOperator):
    """Succeed if and only if every wanted job is done in the store; say what is not, and where to look.

    Runs when all other tasks have ended, however they ended, and carries the run's asset.
    """

    ui_color = "#fbf3dd"

    def execute(self, context: Context) -> dict[str, Any]:
        """Report the state of every wanted job."""
        self.require_same_lab(context)
        wanted = self.wanted(context)
        reconcile(self.store, wanted)
        rows = [row for row in results(self.lab, self.plan.run, self.store) if row.job_id in wanted]
        counts = Counter(row.status.value for row in rows)
        self.log.info("run %s of lab %s (id %s)", self.plan.run, self.lab_name, self.lab.lab_id)
        for status, count in sorted(counts.items()):
            self.log.info("%6d %s", count, status)
        summary: dict[str, Any] = {
            "lab": self.lab_name,
            "lab_id": self.lab.lab_id,
            "git_hash": self.lab.git_hash,
            "run": self.plan.run,
            "jobs": len(rows),
            **{status.value: counts.get(status.value, 0) for status in JobStatus},
        }
        unfinished = [row for row in rows if row.status is not JobStatus.SUCCEEDED]
        if unfinished:
            for row in unfinished:
                parameters = ", ".join(f"{name}={value}" for name, value in row.parameters.items())
                log = "" if row.status is JobStatus.PENDING else f"\n    log: {self.store.job(row.job_id).stderr}"
                self.log.error("%s: %s (%s)%s", row.status.value, row.job_id, parameters, log)
            raise AirflowFailException(
                f"{len(unfinished)} of {len(rows)} jobs of run {self.plan.run!r} are not done: they are listed above,"
                " those that failed with their logs; pending ones were not started. Fix the cause and trigger the DAG"
                " again: jobs that are done are reused."
            )
        for asset in self.outlets:
            context["outlet_events"][asset].extra = summary
        return summary
