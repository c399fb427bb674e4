"""How far a DAG run is: its jobs by stage and status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from airflow_provider_repx.cli.find import stage_of
from airflow_provider_repx.cli.tables import counted
from airflow_provider_repx.execution.store import JobStatus, OutputStore
from airflow_provider_repx.lab import JobId, Run, topological_order

__all__ = ["Progress", "StageProgress", "Watch", "elapsed"]


@dataclass(frozen=True)
class StageProgress:
    """The jobs of one stage that a DAG run asks for, by status."""

    stage: str
    jobs: int
    succeeded: int
    running: int
    failed: int
    pending: int


@dataclass(frozen=True)
class Progress:
    """The jobs that a DAG run asks for, by stage (upstream ones first) and status."""

    stages: tuple[StageProgress, ...]

    def total(self, name: str) -> int:
        """The sum of a column over all stages."""
        return sum(getattr(stage, name) for stage in self.stages)

    def line(self) -> str:
        """All stages together, in one line."""
        counts = [f"{self.total(status.value)} {status}" for status in _SHOWN if self.total(status.value)]
        return f"{counted(self.total('jobs'), 'job')}: {', '.join(counts) or 'none'}"

    def to_json(self) -> list[dict[str, Any]]:
        """One object per stage."""
        return [vars(stage) for stage in self.stages]


_SHOWN = (JobStatus.SUCCEEDED, JobStatus.RUNNING, JobStatus.FAILED, JobStatus.PENDING)


@dataclass
class Watch:
    """Looks at the same jobs again and again. What was done once stays done: only the rest is looked at.

    A failure from before `since` (seconds since 1970) is not one of this DAG run, which will try that job again.
    """

    run: Run
    wanted: Iterable[JobId]
    store: OutputStore
    since: float = 0.0
    _stages: Mapping[JobId, str] = field(init=False)
    _done: set[JobId] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        wanted = frozenset(self.wanted)
        self._stages = {
            job_id: stage_of(self.run.jobs[job_id]) for job_id in topological_order(self.run) if job_id in wanted
        }

    def look(self) -> Progress:
        """Count the jobs; raises `StoreError` when the store cannot be listed."""
        statuses = self.store.statuses([job_id for job_id in self._stages if job_id not in self._done])
        self._done.update(job_id for job_id, status in statuses.items() if status is JobStatus.SUCCEEDED)
        counts: dict[str, Counter[JobStatus]] = {}
        for job_id, stage in self._stages.items():
            status = statuses.get(job_id, JobStatus.SUCCEEDED)
            if status is JobStatus.FAILED and self._is_old(job_id):
                status = JobStatus.PENDING
            counts.setdefault(stage, Counter())[status] += 1
        return Progress(tuple(_stages(counts)))

    def _is_old(self, job_id: JobId) -> bool:
        try:
            return self.store.job(job_id).fail.stat().st_mtime < self.since
        except OSError:
            return False


def _stages(counts: Mapping[str, Counter[JobStatus]]) -> Iterator[StageProgress]:
    for stage, count in counts.items():
        yield StageProgress(stage, count.total(), **{status.value: count[status] for status in _SHOWN})


def elapsed(begin: datetime | None, end: datetime | None) -> str:
    """A length of time for people, such as ``2:03`` or ``1:02:03``; empty where it has not begun."""
    if begin is None:
        return ""
    seconds = max(0, int(((end or datetime.now(timezone.utc)) - begin).total_seconds()))
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
