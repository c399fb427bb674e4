"""The smallest thing that is started, claimed, and done or failed by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.lab.models import JobId

__all__ = ["Unit", "UnitPart"]

UnitPart: TypeAlias = Literal["main", "scatter", "step", "gather"]


@dataclass(frozen=True)
class Unit:
    """A simple job (`main`), or the scatter, one step of one branch, or the gather of a scatter-gather job.

    `branch` (from 0, in the order of the work items) and `step` are given for a step and for nothing else; without them
    it raises `StoreError`.
    """

    job_id: JobId
    part: UnitPart = "main"
    branch: int | None = None
    step: str | None = None

    def __post_init__(self) -> None:
        if self.part == "step":
            sound = self.branch is not None and self.branch >= 0 and bool(self.step)
        else:
            sound = self.branch is None and self.step is None
        if not sound:
            raise StoreError(f"{self!r}: a step has a branch from 0 and a name, nothing else has")

    @property
    def executable(self) -> str:
        """The key of its script among the job's executables."""
        return f"step-{self.step}" if self.part == "step" else self.part

    @property
    def is_whole_job(self) -> bool:
        """Whether the job is done when this unit is: a simple job, or a gather."""
        return self.part in ("main", "gather")

    def paths(self, store: OutputStore) -> JobPaths:
        """Its folder, as RepX lays it out; a gather has that of the job itself."""
        root = store.job(self.job_id).root
        if self.part == "scatter":
            root /= "scatter"
        elif self.part == "step":
            root = JobPaths(root).branch(self.branch or 0) / f"step-{self.step}"
        return JobPaths(root)

    def __str__(self) -> str:
        if self.part == "main":
            return self.job_id
        if self.part == "step":
            return f"{self.job_id} branch {self.branch} step {self.step}"
        return f"{self.job_id} {self.part}"
