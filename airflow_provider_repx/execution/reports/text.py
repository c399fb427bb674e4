"""A report as lines for a log, and as a small JSON object."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from airflow_provider_repx.execution.reports.facts import JobEnd, JobFacts
from airflow_provider_repx.execution.reports.report import RunReport, StageReport
from airflow_provider_repx.lab import format_time

__all__ = ["report_data", "report_lines"]

_SHOWN: Final = 20
"""Jobs of one end that are told one by one."""

_CAUSES: Final = 10
"""Causes of failure that are told with their counts."""

_CAUSE_LENGTH: Final = 300
_DESCRIPTION_LENGTH: Final = 300

_ORDER: Final = (JobEnd.FAILED, JobEnd.CANCELLED, JobEnd.RUNNING, JobEnd.SKIPPED, JobEnd.EXECUTED, JobEnd.REUSED)

_HEADINGS: Final = {
    JobEnd.FAILED: "failed",
    JobEnd.CANCELLED: "were stopped",
    JobEnd.RUNNING: "are being run by somebody else",
    JobEnd.SKIPPED: "did not start",
}


_STATUSES: Final = {
    JobEnd.FAILED: "failed",
    JobEnd.CANCELLED: "pending",
    JobEnd.RUNNING: "running",
    JobEnd.SKIPPED: "pending",
}


def report_lines(report: RunReport, title: str) -> Iterator[str]:
    """The report for a log, what matters most first: failures with parameters, cause and log; then figures."""
    verdict = "done" if report.succeeded == report.jobs else "not done"
    yield f"{title}: {verdict}. {_counts(report)}"
    for end in _ORDER:
        jobs = report.ended(end)
        if jobs:
            yield from _listed(jobs, end)
    yield _costs(report)
    yield from _table(report.stages)
    for stage in report.stages:
        for text in stage.suggestions:
            yield f"hint for {stage.task_id}: {text}"


def report_data(report: RunReport) -> dict[str, Any]:
    """The report as JSON can hold it: a few kilobytes, whatever the number of jobs."""
    failed = report.ended(JobEnd.FAILED)
    return {
        "jobs": report.jobs,
        "succeeded": report.succeeded,
        "pending": report.count(JobEnd.SKIPPED) + report.count(JobEnd.CANCELLED),
        **{end.value: report.count(end) for end in JobEnd},
        "cpu_hours_asked": round(report.cpu_hours_asked, 4),
        "cpu_hours_used": round(report.cpu_hours_used, 4),
        "peak_memory": report.peak_memory,
        "stages": [_stage_data(stage) for stage in report.stages],
        "failures": [
            {
                "job": job.job_id,
                "task": job.task_id,
                "parameters": _cut(job.description, _DESCRIPTION_LENGTH),
                "cause": _cut(job.cause, _CAUSE_LENGTH),
                "log": str(job.log),
            }
            for job in failed[:_SHOWN]
        ],
    }


def _counts(report: RunReport) -> str:
    parts = [f"{report.count(end)} {end}" for end in _ORDER if report.count(end)]
    return f"{report.jobs} jobs: {', '.join(parts) or 'none'}"


def _listed(jobs: Sequence[JobFacts], end: JobEnd) -> Iterator[str]:
    yield f"{len(jobs)} {_HEADINGS[end]}:"
    if len(jobs) > _SHOWN:
        causes = Counter((job.task_id, _cut(job.cause, _CAUSE_LENGTH)) for job in jobs)
        for (task_id, cause), number in causes.most_common(_CAUSES):
            yield f"  {number} of {task_id}: {cause}"
    for job in jobs[:_SHOWN]:
        description = _cut(job.description, _DESCRIPTION_LENGTH)
        yield f"  {job.task_id}: {description}" if description else f"  {job.task_id}"
        yield f"      {_cut(job.cause, _CAUSE_LENGTH)}"
        yield f"      job {job.job_id}" + (f", log {job.log}" if job.log is not None else "")
    if len(jobs) > _SHOWN:
        yield f"  … and {len(jobs) - _SHOWN} more; `airflow repx list jobs --status {_STATUSES[end]}` lists all"


def _costs(report: RunReport) -> str:
    text = f"CPU hours: {report.cpu_hours_asked:.2f} asked, {report.cpu_hours_used:.2f} used"
    return text if report.peak_memory is None else f"{text}; largest job: {_size(report.peak_memory)}"


def _table(stages: Sequence[StageReport]) -> Iterator[str]:
    rows = [
        (
            "stage",
            "jobs",
            "executed",
            "reused",
            "failed",
            "time asked",
            "longest",
            "mem asked",
            "peak",
            "cpus asked",
            "busy",
        ),
        *(_row(stage) for stage in stages),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *others = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *others])


def _row(stage: StageReport) -> tuple[str, ...]:
    counts = [str(stage.counts.get(end, 0)) for end in (JobEnd.EXECUTED, JobEnd.REUSED, JobEnd.FAILED)]
    return (
        stage.task_id,
        str(stage.jobs),
        *counts,
        "-" if stage.asked_seconds is None else format_time(stage.asked_seconds),
        "-" if stage.longest_seconds is None else format_time(max(1, math.ceil(stage.longest_seconds))),
        "-" if stage.asked_memory is None else _size(stage.asked_memory),
        "-" if stage.peak_memory is None else _size(stage.peak_memory),
        "-" if stage.asked_cpus is None else str(stage.asked_cpus),
        "-" if stage.busy_cpus is None else f"{stage.busy_cpus:.1f}",
    )


def _stage_data(stage: StageReport) -> dict[str, Any]:
    return {
        "task": stage.task_id,
        "jobs": stage.jobs,
        **{end.value: stage.counts.get(end, 0) for end in JobEnd},
        "asked_seconds": stage.asked_seconds,
        "longest_seconds": stage.longest_seconds,
        "asked_memory": stage.asked_memory,
        "peak_memory": stage.peak_memory,
        "asked_cpus": stage.asked_cpus,
        "busy_cpus": None if stage.busy_cpus is None else round(stage.busy_cpus, 2),
        "suggestions": list(stage.suggestions),
    }


def _size(amount: int) -> str:
    return f"{amount / 2**30:.1f} GiB" if amount >= 2**30 else f"{amount / 2**20:.0f} MiB"


def _cut(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"
