"""What became of the jobs that a DAG run asked for, as data and as text."""

from airflow_provider_repx.execution.reports.facts import JobEnd, JobFacts
from airflow_provider_repx.execution.reports.gathering import ReportRequest, gather_facts
from airflow_provider_repx.execution.reports.report import RunReport, StageReport, report_on
from airflow_provider_repx.execution.reports.text import report_data, report_lines

__all__ = [
    "JobEnd",
    "JobFacts",
    "ReportRequest",
    "RunReport",
    "StageReport",
    "gather_facts",
    "report_data",
    "report_lines",
    "report_on",
]
