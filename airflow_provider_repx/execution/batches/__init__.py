"""Several jobs of one stage, settled by one task: what is reused, run or left out, and running them side by side."""

from airflow_provider_repx.execution.batches.decisions import Action, Decision, decide
from airflow_provider_repx.execution.batches.done import done_jobs
from airflow_provider_repx.execution.batches.local import LocalBatch
from airflow_provider_repx.execution.batches.result import BatchResult

__all__ = ["Action", "BatchResult", "Decision", "LocalBatch", "decide", "done_jobs"]
