"""What a run has not done yet, in words."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from airflow_provider_repx.execution.store import JobStatus, OutputStore, ResultRow, results
from airflow_provider_repx.lab import Lab

__all__ = ["describe_unfinished"]

_SHOWN = 5


def describe_unfinished(lab: Lab, run: str, store: OutputStore) -> str:
    """How many jobs of a run are done, failed or not, then the first ones that failed with their parameters and logs.

    Raises `StoreError` where the store cannot be listed.
    """
    rows = results(lab, run, store)
    counts = ", ".join(
        f"{count} {status}" for status in JobStatus if (count := sum(row.status is status for row in rows))
    )
    failed = [row for row in rows if row.status is JobStatus.FAILED]
    lines = [f"run {run}: {len(rows)} jobs: {counts or 'none'}"]
    lines += [_line(row, store) for row in islice(failed, _SHOWN)]
    if len(failed) > _SHOWN:
        lines.append(f"  … and {len(failed) - _SHOWN} more that failed")
    return "\n".join(lines)


def _line(row: ResultRow, store: OutputStore) -> str:
    parameters = _shown(f"{name}={value}" for name, value in row.parameters.items())
    return f"  failed: {row.job_id}{parameters}; log: {store.job(row.job_id).stderr}"


def _shown(parameters: Iterable[str]) -> str:
    text = ", ".join(parameters)
    return f" ({text})" if text else ""
