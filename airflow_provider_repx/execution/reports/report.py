"""From facts about jobs to a report on the run: counts, costs, and each stage's use of what it asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_repx.execution.reports.facts import JobEnd, JobFacts
from airflow_provider_repx.execution.reports.hints import suggestions

__all__ = ["RunReport", "StageReport", "report_on"]

_HOUR = 3600.0


@dataclass(frozen=True)
class StageReport:
    """The jobs of one task, and what those that this DAG run has run used of what they asked for.

    `counts` are by what became of a job. Amounts are the largest of any job: seconds, bytes, CPUs that were busy on
    average; `None` where nobody asked, or nothing is known.
    """

    task_id: str
    counts: Mapping[JobEnd, int]
    asked_seconds: int | None = None
    longest_seconds: float | None = None
    asked_memory: int | None = None
    peak_memory: int | None = None
    asked_cpus: int | None = None
    busy_cpus: float | None = None
    suggestions: tuple[str, ...] = ()

    @property
    def jobs(self) -> int:
        """How many jobs it has."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class RunReport:
    """What a DAG run came to.

    `counts` are by what became of a job. `cpu_hours_asked` is the CPUs that each job asked for, times how long it ran;
    `cpu_hours_used` its processor time; both of the jobs that this DAG run has run. `peak_memory` in bytes is that of
    the largest job of which it is known.
    """

    jobs: int
    counts: Mapping[JobEnd, int]
    cpu_hours_asked: float
    cpu_hours_used: float
    peak_memory: int | None
    stages: tuple[StageReport, ...]
    unfinished: tuple[JobFacts, ...]

    @property
    def succeeded(self) -> int:
        """How many jobs are done."""
        return self.count(JobEnd.EXECUTED) + self.count(JobEnd.REUSED)

    def count(self, end: JobEnd) -> int:
        """How many jobs came to one end."""
        return self.counts.get(end, 0)

    def ended(self, end: JobEnd) -> tuple[JobFacts, ...]:
        """The jobs that are not done and came to this end."""
        return tuple(job for job in self.unfinished if job.end is end)


def report_on(facts: Iterable[JobFacts]) -> RunReport:
    """The report on a run, its stages in the order of their first jobs."""
    jobs = tuple(facts)
    by_task: dict[str, list[JobFacts]] = {}
    for job in jobs:
        by_task.setdefault(job.task_id, []).append(job)
    measured = [job for job in jobs if job.measured]
    return RunReport(
        jobs=len(jobs),
        counts=Counter(job.end for job in jobs),
        cpu_hours_asked=sum(job.asked_cpu_seconds for job in jobs) / _HOUR,
        cpu_hours_used=sum(job.cpu_seconds or 0.0 for job in jobs) / _HOUR,
        peak_memory=_largest(job.peak_memory for job in measured),
        stages=tuple(_stage(task_id, members) for task_id, members in by_task.items()),
        unfinished=tuple(job for job in jobs if not job.end.is_done),
    )


def _stage(task_id: str, jobs: Sequence[JobFacts]) -> StageReport:
    measured = [job for job in jobs if job.measured]
    busy = [job.cpu_seconds / job.seconds for job in measured if job.cpu_seconds is not None and job.seconds > 0]
    return StageReport(
        task_id=task_id,
        counts=Counter(job.end for job in jobs),
        asked_seconds=_largest(job.asked.time for job in jobs),
        longest_seconds=max((job.seconds for job in measured), default=None),
        asked_memory=_largest(job.asked.mem for job in jobs),
        peak_memory=_largest(job.peak_memory for job in measured),
        asked_cpus=_largest(job.asked.cpus for job in jobs),
        busy_cpus=max(busy, default=None),
        suggestions=suggestions(jobs),
    )


def _largest(amounts: Iterable[int | None]) -> int | None:
    return max((amount for amount in amounts if amount is not None), default=None)
