"""What one DAG run asks for: some jobs of a run, or all, and which of them again although they are done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_repx.lab import JobId, Run, downstream_of, matching_jobs, select_jobs

__all__ = ["AskedJobs", "asked_jobs"]


@dataclass(frozen=True)
class AskedJobs:
    """`wanted` jobs are to be done; the `forced` ones among them by this very DAG run."""

    wanted: frozenset[JobId]
    forced: frozenset[JobId] = frozenset()


def asked_jobs(run: Run, patterns: Iterable[str] = (), *, downstream: bool = False, force: bool = False) -> AskedJobs:
    """The jobs that `patterns` name (none: all), with everything that they depend on.

    `downstream` adds what depends on those named. `force` means those named, and what depends on them as far as it is
    wanted: nothing that is made from a result counts as done once that result is made anew. What they depend on
    themselves is not forced. Blanks around a pattern do not count; raises `LabLookupError` for one that matches
    nothing.
    """
    given = [stripped for pattern in patterns if (stripped := pattern.strip())]
    if not given:
        everything = frozenset(run.jobs)
        return AskedJobs(everything, everything if force else frozenset())
    named = matching_jobs(run, given)
    behind = frozenset(downstream_of(run, named)) if downstream or force else frozenset()
    wanted = frozenset(select_jobs(run, [*named, *(behind if downstream else ())]))
    return AskedJobs(wanted, (named | behind) & wanted if force else frozenset())
