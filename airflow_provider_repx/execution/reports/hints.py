"""Better resource hints, from what jobs have used. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from airflow_provider_repx.execution.reports.facts import JobFacts
from airflow_provider_repx.lab import format_memory, format_time

__all__ = ["suggestions"]

_GENEROUS = 3.0
"""How many times as much as was used may be asked for before a smaller hint is worth a word."""

_ROOM = 1.5
"""What a suggested hint leaves above what was used."""

_SHORT_SECONDS = 10.0
"""Jobs that ran shorter tell little about the CPUs that they keep busy."""

_MINUTE = 60
_MEMORY_STEP = 256 * 2**20


def suggestions(jobs: Sequence[JobFacts]) -> tuple[str, ...]:
    """What to change about the hints of the jobs of one stage, as sentences; none where they fit."""
    return tuple(text for text in (_time(jobs), _memory(jobs), _cpus(jobs)) if text)


def _time(jobs: Sequence[JobFacts]) -> str:
    limits = [job.asked.time for job in jobs if job.measured and job.asked.time]
    if not limits:
        return ""
    stopped = sum(job.hit == "time" for job in jobs)
    asked = max(limits)
    if stopped:
        return f"time: {stopped} reached the limit of {format_time(asked)}; try {format_time(2 * asked)}"
    longest = max((job.seconds for job in jobs if job.measured), default=0.0)
    enough = math.ceil(longest * _ROOM / _MINUTE) * _MINUTE or _MINUTE
    if longest * _GENEROUS > asked or enough >= asked:
        return ""
    took = format_time(max(1, math.ceil(longest)))
    return f"time: {format_time(asked)} asked, the longest took {took}; {format_time(enough)} would do"


def _memory(jobs: Sequence[JobFacts]) -> str:
    asked = max((job.asked.mem for job in jobs if job.measured and job.asked.mem), default=0)
    if not asked:
        return ""
    stopped = sum(job.hit == "memory" for job in jobs)
    if stopped:
        return f"mem: {stopped} ran out of {format_memory(asked)}; try {format_memory(2 * asked)}"
    known = [job.peak_memory for job in jobs if job.measured and job.peak_memory]
    # The largest of a part of the jobs may not be the largest.
    if len(known) < sum(job.measured for job in jobs):
        return ""
    largest = max(known)
    enough = math.ceil(largest * _ROOM / _MEMORY_STEP) * _MEMORY_STEP
    if largest * _GENEROUS > asked or enough >= asked:
        return ""
    used = format_memory(math.ceil(largest / 2**20) * 2**20)
    return f"mem: {format_memory(asked)} asked, at most {used} used; {format_memory(enough)} would do"


def _cpus(jobs: Sequence[JobFacts]) -> str:
    busy = [
        job.cpu_seconds / job.seconds
        for job in jobs
        if job.measured and job.cpu_seconds is not None and job.seconds >= _SHORT_SECONDS
    ]
    asked = max((job.asked.cpus or 1 for job in jobs if job.measured), default=1)
    if not busy or asked == 1:
        return ""
    most = max(busy)
    enough = max(1, math.ceil(most))
    return f"cpus: {asked} asked, at most {most:.1f} busy; {enough} would do" if enough * 2 <= asked else ""
