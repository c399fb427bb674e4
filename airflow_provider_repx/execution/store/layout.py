"""The output store of a target: a folder in RepX's own layout, shared by all labs, DAG runs and tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store.attempt import Attempt, read_attempt
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.store.listing import JobStatus, job_status, job_statuses, succeeded_jobs
from airflow_provider_repx.execution.store.parts import failed_part
from airflow_provider_repx.lab.models import JobId

__all__ = ["OutputStore"]


@dataclass(frozen=True)
class OutputStore:
    """The store below `base_path`, an absolute path; nothing needs to exist there yet."""

    base_path: Path

    def __post_init__(self) -> None:
        if not self.base_path.is_absolute():
            raise StoreError(
                f"{self.base_path}: the base path of an output store must be absolute, since jobs run in other folders"
            )

    @property
    def outputs(self) -> Path:
        """The folder with one folder per job."""
        return self.base_path / "outputs"

    @property
    def completions(self) -> Path:
        """The log that RepX's own tools believe; see `completion`."""
        return self.outputs / "completions.jsonl"

    @property
    def locks(self) -> Path:
        """The folder where RepX keeps lock files."""
        return self.base_path / "repx" / "temp"

    @property
    def runners(self) -> Path:
        """The folder with the versions of the job runner that were shipped here."""
        return self.base_path / "repx" / "runner"

    def job(self, job_id: str) -> JobPaths:
        """Where the files of a job are; raises `StoreError` for an id that is not a plain name."""
        if not job_id or job_id.startswith(".") or "/" in job_id or "\0" in job_id:
            raise StoreError(f"{job_id!r} is not the id of a job, so it has no folder in {self.outputs}")
        return JobPaths(self.outputs / job_id)

    def status(self, job_id: JobId) -> JobStatus:
        """How far one job is."""
        return job_status(self.job(job_id))

    def log(self, job_id: JobId) -> Path:
        """The log that tells why a job failed: its own, or that of the first part of it that did."""
        paths = self.job(job_id)
        return (failed_part(paths) or paths).stderr

    def statuses(self, job_ids: Iterable[JobId]) -> Mapping[JobId, JobStatus]:
        """How far many jobs are: one listing, then a look at those that exist. Raises `StoreError`."""
        return job_statuses(self.outputs, job_ids)

    def succeeded(self, job_ids: Iterable[JobId]) -> frozenset[JobId]:
        """Those of the given jobs that are done. Raises `StoreError`."""
        return succeeded_jobs(self.outputs, job_ids)

    def attempts(self, job_ids: Iterable[JobId]) -> Mapping[JobId, Attempt]:
        """How the last attempt at each of the given jobs ended, where there is a record of it."""
        found = ((job_id, read_attempt(self.job(job_id).attempt)) for job_id in job_ids)
        return {job_id: attempt for job_id, attempt in found if attempt is not None}

    def reconcile(self, job_ids: Iterable[JobId]) -> int:
        """Make the completion log agree with the markers of the given jobs; see `completion.reconcile`."""
        from airflow_provider_repx.execution.store.completion import reconcile  # noqa: PLC0415 - it needs this module

        return reconcile(self, job_ids)
