"""Running jobs on this machine, and the runner script that every scheduler starts."""

from airflow_provider_repx.execution.jobs.local import cancel_local, is_done, run_job
from airflow_provider_repx.execution.jobs.outcome import JobOutcome
from airflow_provider_repx.execution.jobs.request import JobRequest
from airflow_provider_repx.execution.jobs.shipping import ship_runner

__all__ = ["JobOutcome", "JobRequest", "cancel_local", "is_done", "run_job", "ship_runner"]
