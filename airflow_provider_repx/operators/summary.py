"""The last task of a run's DAG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_repx.execution.reports import (
    JobEnd,
    ReportRequest,
    RunReport,
    gather_facts,
    report_data,
    report_lines,
    report_on,
)
from airflow_provider_repx.operators.base import RunTaskOperator, claimant_of
from airflow_provider_repx.targets import ResourceRules

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.plan.asked import AskedJobs

__all__ = ["RunSummaryOperator"]


_ENDS = {
    JobEnd.FAILED: "failed",
    JobEnd.CANCELLED: "stopped",
    JobEnd.RUNNING: "still run by somebody else",
    JobEnd.SKIPPED: "not started",
}


class RunSummaryOperator(RunTaskOperator):
    """Succeed if and only if every wanted job is done in the store; say what is not, and where to look.

    Runs when all other tasks have ended, however they ended, and carries the run's asset, which it updates when every
    job of the run is done, also those that this DAG run was not asked for. Its log begins with the jobs
    that failed; figures follow: what was reused and run, what it took, and hints that would fit better. The same, as a
    small object, is its XCom `return_value`, whether or not it succeeds, and the asset's metadata.

    :param rules: the resource rules of the plan, which say what jobs ask for
    """

    ui_color = "#fbf3dd"
    shallow_copy_attrs: Sequence[str] = (*RunTaskOperator.shallow_copy_attrs, "rules")

    def __init__(self, *, rules: ResourceRules | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rules = rules if rules is not None else ResourceRules()

    def execute(self, context: Context) -> dict[str, Any]:
        """Report on every wanted job."""
        self.require_same_lab(context)
        asked = self.asked(context)
        self.store.reconcile(asked.wanted)
        report = self._report(asked, context)
        title = f"run {self.plan.run} of lab {self.lab_name} (id {self.lab.lab_id})"
        told = self.log.info if report.succeeded == report.jobs else self.log.error
        for line in report_lines(report, title):
            told("%s", line)
        summary: dict[str, Any] = {
            "lab": self.lab_name,
            "lab_id": self.lab.lab_id,
            "git_hash": self.lab.git_hash,
            "run": self.plan.run,
            **report_data(report),
        }
        if report.succeeded < report.jobs:
            # A task that fails returns nothing.
            context["ti"].xcom_push(key="return_value", value=summary)
            raise AirflowFailException(self._verdict(report))
        if not self._is_whole(asked):
            # Airflow looks at this attribute once the task has succeeded. Who follows the run expects all of it.
            self.outlets = []
            self.log.info("Other jobs of the run are not done: its asset is not updated.")
        for asset in self.outlets:
            context["outlet_events"][asset].extra = summary
        return summary

    def _is_whole(self, asked: AskedJobs) -> bool:
        rest = frozenset(self.repx_run.jobs) - asked.wanted
        return self.store.succeeded(rest) == rest

    def _report(self, asked: AskedJobs, context: Context) -> RunReport:
        started = getattr(context.get("dag_run"), "start_date", None)
        request = ReportRequest(
            lab=self.lab,
            plan=self.plan,
            store=self.store,
            asked=asked,
            claimant=claimant_of(context),
            target=self.target.name,
            rules=self.rules,
            since=started.timestamp() if started is not None else 0.0,
        )
        return report_on(gather_facts(request))

    def _verdict(self, report: RunReport) -> str:
        # Beginning with a name, so that it also reads well behind a word like "because of".
        told = ", ".join(f"{report.count(end)} {words}" for end, words in _ENDS.items() if report.count(end))
        return (
            f"run {self.plan.run!r}: {told}, of {report.jobs} jobs in all. They are listed above, those that failed"
            " with their logs. Fix the cause and trigger the DAG again: jobs that are done are reused."
        )
