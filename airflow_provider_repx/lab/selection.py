"""Choosing some jobs of a run, with everything that they need or that needs them."""

from __future__ import annotations

import bisect
import difflib
import fnmatch
import re
from collections.abc import Collection, Iterable

from airflow_provider_repx.errors import LabLookupError
from airflow_provider_repx.lab.graph import topological_order
from airflow_provider_repx.lab.models import Job, JobId, Run

__all__ = ["downstream_of", "matching_jobs", "select_jobs"]

_GLOB = re.compile(r"[*?\[]")


def select_jobs(run: Run, patterns: Collection[str]) -> tuple[JobId, ...]:
    """The jobs that match any of `patterns` and all jobs upstream of them, in the run's topological order.

    A pattern is a job's exact id, the start of one, or a stage: its name, ``<pname>-<version>`` or ``<pname>``. With
    ``*``, ``?`` or ``[...]`` it is a glob on any of these. The start of an id is tried last, so that a stage ``a``
    is not mixed with ids that start so. No pattern at all means the whole run.

    Raises:
        LabLookupError: a pattern matches nothing.

    """
    order = topological_order(run)
    if not patterns:
        return order
    wanted = set(matching_jobs(run, patterns))
    # Downstream first, so that each job is looked at once, when all who need it are known.
    for job_id in reversed(order):
        if job_id in wanted:
            wanted.update(run.jobs[job_id].producers)
    return tuple(job_id for job_id in order if job_id in wanted)


def matching_jobs(run: Run, patterns: Collection[str]) -> frozenset[JobId]:
    """The jobs that match any of `patterns` themselves; patterns as in `select_jobs`, but none means no job.

    Raises:
        LabLookupError: a pattern matches nothing.

    """
    matcher = _Matcher(run)
    matching: set[JobId] = set()
    for pattern in patterns:
        found = matcher.match(pattern)
        if not found:
            raise LabLookupError(matcher.nothing(pattern))
        matching.update(found)
    return frozenset(matching)


def downstream_of(run: Run, ids: Iterable[JobId]) -> tuple[JobId, ...]:
    """The jobs that read from any of `ids`, directly or through others, in the run's topological order.

    One of `ids` itself is among them only if it reads from another.

    Raises:
        LabLookupError: an id is not of this run.

    """
    given = set(ids)
    for job_id in given:
        if job_id not in run.jobs:
            raise LabLookupError(f"{run.name}: no job {job_id!r} in this run")
    reached: dict[JobId, None] = {}
    for job_id in topological_order(run):
        if any(producer in given or producer in reached for producer in run.jobs[job_id].producers):
            reached[job_id] = None
    return tuple(reached)


class _Matcher:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._by_stage: dict[str, list[JobId]] = {}
        for job_id, job in run.jobs.items():
            for name in _stage_names(job):
                self._by_stage.setdefault(name, []).append(job_id)
        self._sorted = sorted(run.jobs)

    def match(self, pattern: str) -> list[JobId]:
        if pattern in self._run.jobs:
            return [JobId(pattern)]
        if pattern in self._by_stage:
            return self._by_stage[pattern]
        if _GLOB.search(pattern):
            matches = re.compile(fnmatch.translate(pattern)).match
            found = [job_id for name, ids in self._by_stage.items() if matches(name) for job_id in ids]
            return found + [job_id for job_id in self._sorted if matches(job_id)]
        return self._starting_with(pattern)

    def _starting_with(self, start: str) -> list[JobId]:
        found: list[JobId] = []
        # Every id starts with nothing, which is no choice.
        if start:
            for job_id in self._sorted[bisect.bisect_left(self._sorted, start) :]:
                if not job_id.startswith(start):
                    break
                found.append(job_id)
        return found

    def nothing(self, pattern: str) -> str:
        nearest = difflib.get_close_matches(pattern, self._by_stage, n=3, cutoff=0.5)
        advice = f" (did you mean {' or '.join(map(repr, nearest))}?)" if nearest else ""
        return (
            f"{self._run.name}: no job matches {pattern!r}{advice}; a pattern is a job id, the start of one, a stage, "
            "or a glob on these"
        )


def _stage_names(job: Job) -> set[str]:
    names = {job.name, job.name.rpartition("-")[0] or job.name}
    if job.stage is not None:
        names.add(job.stage)
    return names
