"""The output store of a target: a folder in RepX's own layout, shared by all labs, DAG runs and tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store.attempt import Attempt, read_attempt
from airflow_provider_repx.execution.store.claim import claim_is_live, read_claim
from airflow_provider_repx.execution.store.claimant import ClaimRecord
from airflow_provider_repx.execution.store.files import store_error
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.store.listing import (
    JobStatus,
    folder_status,
    job_status,
    job_statuses,
    succeeded_jobs,
)
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

    def folder_statuses(self, folders: Iterable[JobPaths]) -> Mapping[JobPaths, JobStatus]:
        """How far simple jobs and parts of scatter-gather jobs are, each by what lies in its own folder."""
        return {folder: folder_status(folder) for folder in folders}

    def folder_attempts(self, folders: Iterable[JobPaths]) -> Mapping[JobPaths, Attempt]:
        """How the last attempts at simple jobs and parts of scatter-gather jobs ended, where there are records."""
        found = ((folder, read_attempt(folder.attempt)) for folder in folders)
        return {folder: attempt for folder, attempt in found if attempt is not None}

    def claims(self, folders: Iterable[JobPaths]) -> Mapping[JobPaths, ClaimRecord]:
        """Who is at work in these folders: their claims, as far as they are alive."""
        found = ((folder, read_claim(folder.claim)) for folder in folders if claim_is_live(folder.claim))
        return {folder: record for folder, record in found if record is not None}

    def contents(self, files: Iterable[Path]) -> Mapping[Path, bytes]:
        """What some files of the store hold, without those that are not there. Raises `StoreError`."""
        found = {}
        for file in files:
            try:
                found[file] = file.read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):  # noqa: PERF203 - each file has its own outcome
                continue
            except OSError as error:
                raise store_error("read the file", file, error) from error
        return found

    def reconcile(self, job_ids: Iterable[JobId]) -> int:
        """Make the completion log agree with the markers of the given jobs; see `completion.reconcile`."""
        from airflow_provider_repx.execution.store.completion import reconcile  # noqa: PLC0415 - it needs this module

        return reconcile(self, job_ids)
