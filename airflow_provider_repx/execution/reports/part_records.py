"""What became of the parts of scatter-gather jobs: a few questions to the store for all jobs of a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from airflow_provider_repx.execution.store import Attempt, JobPaths, JobStatus, OutputStore
from airflow_provider_repx.execution.units import Unit
from airflow_provider_repx.lab import JobId, Run
from airflow_provider_repx.lab.graph import step_order

__all__ = ["PartRecords"]


class PartRecords:
    """The records of scatter and steps of the scatter-gather jobs among some jobs of a run.

    `statuses` are those of the jobs that are not done. Raises `StoreError` where the store cannot be read.
    """

    def __init__(
        self, store: OutputStore, run: Run, statuses: Mapping[JobId, JobStatus], job_ids: Sequence[JobId]
    ) -> None:
        fans = [job_id for job_id in job_ids if run.jobs[job_id].stage_type == "scatter-gather"]
        files = store.contents(store.job(job_id).work_items for job_id in fans)
        self._folders: dict[JobId, dict[JobPaths, str]] = {}
        for job_id in fans:
            branches = range(_count(files.get(store.job(job_id).work_items)))
            steps = [Unit(job_id, "step", branch, step) for branch in branches for step in step_order(run.jobs[job_id])]
            units = [Unit(job_id, "scatter"), *steps]
            self._folders[job_id] = {unit.paths(store): unit.executable for unit in units}
        self._records = store.folder_attempts(folder for folders in self._folders.values() for folder in folders)
        failed = [job_id for job_id in fans if statuses.get(job_id) is JobStatus.FAILED]
        self._statuses = store.folder_statuses(folder for job_id in failed for folder in self._folders[job_id])

    def attempts(self, job_id: JobId) -> Mapping[str, Sequence[Attempt]]:
        """How the last attempts at scatter and steps of a job ended, by executable."""
        found: dict[str, list[Attempt]] = {}
        for folder, executable in self._folders.get(job_id, {}).items():
            if folder in self._records:
                found.setdefault(executable, []).append(self._records[folder])
        return found

    def failed(self, job_id: JobId) -> JobPaths | None:
        """The first part of a failed job that has failed: scatter, or a step of the first branch where one did."""
        folders = self._folders.get(job_id, {})
        return next((folder for folder in folders if self._statuses.get(folder) is JobStatus.FAILED), None)

    def record(self, part: JobPaths) -> Attempt | None:
        """How the last attempt at a part ended."""
        return self._records.get(part)


def _count(content: bytes | None) -> int:
    """How many work items a file holds; none where it holds something else."""
    try:
        items = json.loads(content or b"[]")
    except (ValueError, RecursionError):
        return 0
    return len(items) if isinstance(items, list) else 0
