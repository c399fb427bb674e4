"""How far a DAG run is: its jobs by stage and status."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    A failure from before `since` (seconds since 1970) is not one of this DAG run, which will try that job again. The
    store is asked again when `interval` seconds have passed: each question costs another machine's a connection.
    """

    run: Run
    wanted: Iterable[JobId]
    store: OutputStore
    since: float = 0.0
    interval: float = 0.0
    _stages: Mapping[JobId, str] = field(init=False)
    _done: set[JobId] = field(init=False, default_factory=set)
    _last: tuple[float, Progress] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        wanted = frozenset(self.wanted)
        self._stages = {
            job_id: stage_of(self.run.jobs[job_id]) for job_id in topological_order(self.run) if job_id in wanted
        }

    def look(self, *, fresh: bool = True) -> Progress:
        """Count the jobs, or with `fresh` off tell the last counts where they are not older than the interval.

        Raises `StoreError` or `TransportError` when the store cannot be asked.
        """
        if not fresh and self._last is not None and time.monotonic() - self._last[0] < self.interval:
            return self._last[1]
        progress = self._count()
        self._last = time.monotonic(), progress
        return progress

    def _count(self) -> Progress:
        statuses = self.store.statuses([job_id for job_id in self._stages if job_id not in self._done])
        self._done.update(job_id for job_id, status in statuses.items() if status is JobStatus.SUCCEEDED)
        old = self._old([job_id for job_id, status in statuses.items() if status is JobStatus.FAILED])
        counts: dict[str, Counter[JobStatus]] = {}
        for job_id, stage in self._stages.items():
            status = JobStatus.PENDING if job_id in old else statuses.get(job_id, JobStatus.SUCCEEDED)
            counts.setdefault(stage, Counter())[status] += 1
        return Progress(tuple(_stages(counts)))

    def _old(self, failed: Sequence[JobId]) -> frozenset[JobId]:
        """Those failures that are of before; without a record of when, as RepX leaves none, the marker's age tells."""
        if not self.since or not failed:
            return frozenset()
        attempts = self.store.attempts(failed)
        return frozenset(
            job_id
            for job_id in failed
            if (attempts[job_id].ended if job_id in attempts else self._marked(job_id)) < self.since
        )

    def _marked(self, job_id: JobId) -> float:
        """When a failure was marked; the end of time where that cannot be seen from here."""
        try:
            return self.store.job(job_id).fail.stat().st_mtime
        except OSError:
            return math.inf


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
