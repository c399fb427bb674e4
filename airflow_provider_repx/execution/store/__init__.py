"""The output store: which jobs are done, who runs which, and what they made. The single truth about jobs."""

from airflow_provider_repx.execution.store.attempt import Attempt
from airflow_provider_repx.execution.store.claim import Claim, HeldClaim, claim_is_live, read_claim, try_claim
from airflow_provider_repx.execution.store.claimant import Claimant, ClaimRecord
from airflow_provider_repx.execution.store.completion import Completion, append_completions, reconcile
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.execution.store.listing import JobStatus
from airflow_provider_repx.execution.store.results import ResultRow, Results, results

__all__ = [
    "Attempt",
    "Claim",
    "ClaimRecord",
    "Claimant",
    "Completion",
    "HeldClaim",
    "JobPaths",
    "JobStatus",
    "OutputStore",
    "ResultRow",
    "Results",
    "append_completions",
    "claim_is_live",
    "read_claim",
    "reconcile",
    "results",
    "try_claim",
]
