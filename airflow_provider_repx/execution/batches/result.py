"""What became of a batch of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_repx.execution.jobs import JobOutcome
from airflow_provider_repx.lab import JobId

__all__ = ["BatchResult"]


@dataclass(frozen=True)
class BatchResult:
    """What became of each job of a batch.

    `outcomes` are those of the jobs that ended, `skipped` tells why a job did not start, `errors` what kept one from
    starting that should have, and `left` are those that were not started because the batch was stopped.
    """

    outcomes: tuple[JobOutcome, ...]
    skipped: Mapping[JobId, str]
    errors: Mapping[JobId, Exception]
    left: tuple[JobId, ...]

    def with_status(self, status: str) -> tuple[JobOutcome, ...]:
        """The outcomes of one status: succeeded, failed or cancelled."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == status)

    @property
    def counts(self) -> dict[str, Any]:
        """How many jobs came to which end, as JSON can hold it."""
        succeeded = self.with_status("succeeded")
        reused = sum(outcome.reused for outcome in succeeded)
        return {
            "reused": reused,
            "executed": len(succeeded) - reused,
            "failed": len(self.with_status("failed")),
            "cancelled": len(self.with_status("cancelled")) + len(self.left),
            "skipped": len(self.skipped),
            "not_started": len(self.errors),
        }
