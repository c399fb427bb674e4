"""Which jobs count as done for one DAG run."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from airflow_provider_repx.execution.store import Claimant, OutputStore
from airflow_provider_repx.lab import JobId

__all__ = ["done_jobs"]


def done_jobs(
    store: OutputStore, job_ids: Iterable[JobId], forced: Collection[JobId], claimant: Claimant
) -> frozenset[JobId]:
    """Those of the given jobs that are done: their marker says so, whoever made them.

    A forced job is done only if it was made by the claimant's own DAG run. Raises `StoreError`.
    """
    succeeded = store.succeeded(job_ids)
    in_question = succeeded.intersection(forced)
    if not in_question:
        return succeeded
    own = {
        job_id
        for job_id, attempt in store.attempts(in_question).items()
        if attempt.outcome == "succeeded" and attempt.claim and attempt.claim.claimant.same_dag_run(claimant)
    }
    return (succeeded - in_question) | own
