"""How far jobs are. The marker ``SUCCESS`` is the truth, whoever wrote it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path

from airflow_provider_repx.execution.store.claim import claim_is_live
from airflow_provider_repx.execution.store.files import store_error
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.store.parts import failed_part, is_any_part_running
from airflow_provider_repx.lab.models import JobId

__all__ = ["JobStatus", "existing_jobs", "folder_status", "job_status", "job_statuses", "succeeded_jobs"]


_FEW = 64
"""Jobs that are looked at one by one."""


class JobStatus(str, Enum):
    """How far a job is.

    `RUNNING`: somebody holds a live claim. `PENDING`: it was never run, or its last attempt was stopped. A
    scatter-gather job that is not done is running when any part of it is, else failed when any part is.
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RUNNING = "running"
    PENDING = "pending"

    def __str__(self) -> str:
        return self.value


def job_status(paths: JobPaths) -> JobStatus:
    """How far one job is."""
    if paths.success.exists():
        return JobStatus.SUCCEEDED
    if claim_is_live(paths.claim) or is_any_part_running(paths):
        return JobStatus.RUNNING
    # Between the first look and the second its claim may have ended with success.
    if paths.success.exists():
        return JobStatus.SUCCEEDED
    return JobStatus.FAILED if paths.fail.exists() or failed_part(paths) is not None else JobStatus.PENDING


def folder_status(paths: JobPaths) -> JobStatus:
    """How far a simple job or one part of another is: by the markers and the claim of its own folder alone."""
    if paths.success.exists():
        return JobStatus.SUCCEEDED
    if claim_is_live(paths.claim):
        return JobStatus.RUNNING
    if paths.success.exists():
        return JobStatus.SUCCEEDED
    return JobStatus.FAILED if paths.fail.exists() else JobStatus.PENDING


def existing_jobs(outputs: Path) -> frozenset[str]:
    """The names of all folders in an output store, by one listing; raises `StoreError`."""
    try:
        with os.scandir(outputs) as entries:
            return frozenset(entry.name for entry in entries if _is_folder(entry))
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise store_error("list the folder", outputs, error) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads nowhere, or to where this user may not look: not a job, and no reason to find no other.
        return False


def job_statuses(outputs: Path, job_ids: Iterable[JobId]) -> Mapping[JobId, JobStatus]:
    """How far many jobs are, by one listing and a look at those that exist; in the order that they are given."""
    existing = existing_jobs(outputs)
    return {
        job_id: job_status(JobPaths(outputs / job_id)) if job_id in existing else JobStatus.PENDING
        for job_id in job_ids
    }


def succeeded_jobs(outputs: Path, job_ids: Iterable[JobId]) -> frozenset[JobId]:
    """Those of the given jobs that are done: one listing, then a look at the marker of each job that is there.

    Few jobs are looked at without a listing, whose cost follows the store's size. A listing costs 0.5 microseconds per
    job of the store, a look at a marker 4 (on a local file system).
    """
    asked = list(job_ids)
    if len(asked) > _FEW:
        existing = existing_jobs(outputs)
        asked = [job_id for job_id in asked if job_id in existing]
    # Plain strings: ten thousand path objects would take longer than the looks themselves.
    folder = str(outputs)
    return frozenset(job_id for job_id in asked if _exists(f"{folder}/{job_id}/repx/SUCCESS"))


def _exists(path: str) -> bool:
    try:
        os.stat(path)  # noqa: PTH116 - see above
    except OSError:
        return False
    return True
