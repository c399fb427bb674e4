"""From the end of an element to an outcome, and to what is written down about it."""

from __future__ import annotations

import re
import signal as signals
import time
from dataclasses import replace

from airflow_provider_repx.execution.jobs.outcome import describe_exit
from airflow_provider_repx.execution.slurm.elements import Element, End
from airflow_provider_repx.execution.slurm.job import SlurmJob
from airflow_provider_repx.execution.slurm.outcome import SlurmOutcome
from airflow_provider_repx.execution.slurm.states import Ending
from airflow_provider_repx.execution.slurm.target import Settled
from airflow_provider_repx.execution.store.attempt import Attempt
from airflow_provider_repx.execution.store.completion import Completion

__all__ = ["cancelled_outcome", "conclude", "ended_from_outside", "last_lines", "outcome_of", "settled"]

_WORD = re.compile(r"([A-Z][A-Z_]{3,}|DependencyNeverSatisfied)(?=:|$)")
_SLURM_KNOWS_BETTER = frozenset({"OUT_OF_MEMORY", "TIMEOUT", "DEADLINE"})
_ENDED_FROM_OUTSIDE = frozenset({"CANCELLED", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "REVOKED"})
_TAIL_LINES = 20


def conclude(element: Element, end: End) -> SlurmOutcome:
    """The outcome of an element of this process; its end says `recorded`, `ended` or `dropped`."""
    if end.kind == "dropped":
        return cancelled_outcome(element.job)
    ending = end.ending
    attempt = end.attempt or Attempt(token=element.claim.token, outcome="cancelled", claim=element.claim)
    outcome = outcome_of(element.job, attempt, holder=None)
    if ending is not None and _overrules(ending, end.attempt):
        outcome = replace(outcome, status=ending.status, cause=ending.cause, explanation=ending.explanation)
    elif end.attempt is not None and attempt.outcome == "cancelled":
        why = "ended by signal TERM under Slurm, which does not say why"
        outcome = replace(outcome, cause="TERM", explanation=why)
    slurm = end.slurm
    signal = outcome.signal if slurm is None or end.attempt is not None else slurm.signal or None
    return replace(
        outcome,
        signal=signal,
        exit_code=128 + signal if signal and outcome.exit_code is None else outcome.exit_code,
        slurm_id=outcome.slurm_id or element.slurm_id,
        node=outcome.node or element.node or (slurm.node if slurm is not None else ""),
        peak_memory=outcome.peak_memory or (slurm.peak_memory if slurm is not None else None),
        seconds=outcome.seconds if outcome.seconds is not None or slurm is None else slurm.seconds,
    )


def settled(element: Element, end: End, outcome: SlurmOutcome) -> Settled:
    """What has to be written down: what the runner could not know, and that the end was reported."""
    job = element.job
    line = ""
    if job.completes is not None and outcome.status in ("succeeded", "failed"):
        line = Completion(job.completes, succeeded=outcome.status == "succeeded").to_line().strip()
    if outcome.status == "succeeded":
        return Settled(element.root, element.claim.token, completion=line)
    attempt: Attempt | None = None
    if outcome.status == "failed" and (end.attempt is None or end.ending is not None):
        attempt = end.attempt or Attempt(
            token=element.claim.token, outcome="failed", claim=element.claim, ended=time.time()
        )
        attempt = replace(
            attempt,
            outcome="failed",
            cause="" if outcome.cause in ("exit code", "signal") and end.attempt is not None else outcome.explanation,
            exit_code=outcome.exit_code,
            slurm_id=outcome.slurm_id,
            node=outcome.node,
            peak_memory=outcome.peak_memory,
        )
    elif end.attempt is not None and end.attempt.outcome == "failed":
        # Whoever waited for it must not take that for a failure of the script.
        attempt = replace(end.attempt, outcome="cancelled", cause=outcome.explanation)
    failed = outcome.status == "failed"
    return Settled(
        root=element.root,
        token=element.claim.token,
        attempt=attempt,
        marker="FAIL" if failed else "",
        completion=line,
        fails=job.fails if failed else (),
    )


def outcome_of(job: SlurmJob, attempt: Attempt, *, holder: str | None) -> SlurmOutcome:
    """The outcome that a record tells; `holder` is given for one that somebody else has made."""
    known = attempt.started > 0
    cause = ""
    if attempt.outcome != "succeeded":
        word = _WORD.match(attempt.cause)
        cause = word[1] if word else "signal" if attempt.signal is not None else "exit code"
        cause = "CANCELLED" if attempt.outcome == "cancelled" else cause
    return SlurmOutcome(
        name=job.name,
        status=attempt.outcome,
        reused=holder is not None,
        stdout=job.paths.stdout,
        stderr=job.paths.stderr,
        cause=cause,
        explanation=describe_exit(attempt),
        exit_code=attempt.exit_code if attempt.outcome != "cancelled" else None,
        signal=attempt.signal if attempt.outcome != "cancelled" else None,
        slurm_id=attempt.slurm_id,
        node=attempt.node,
        started=attempt.started if known else None,
        seconds=attempt.seconds if known else None,
        cpu_seconds=attempt.cpu_seconds,
        peak_memory=attempt.peak_memory,
        holder=holder,
        unit=job.unit,
    )


def cancelled_outcome(job: SlurmJob) -> SlurmOutcome:
    """The outcome of a job that was stopped before it was submitted."""
    return SlurmOutcome(
        name=job.name,
        status="cancelled",
        reused=False,
        stdout=job.paths.stdout,
        stderr=job.paths.stderr,
        cause="CANCELLED",
        explanation="stopped on request, before it was submitted",
        unit=job.unit,
    )


def last_lines(text: str) -> tuple[str, ...]:
    """What to show of the end of a log."""
    return tuple(text.splitlines()[-_TAIL_LINES:])


def ended_from_outside(attempt: Attempt) -> bool:
    """Whether a script ended as Slurm ends one: it signals script and runner at once; either may act first."""
    return attempt.outcome == "failed" and attempt.signal in (signals.SIGTERM, signals.SIGKILL)


def _overrules(ending: Ending, attempt: Attempt | None) -> bool:
    """Whether Slurm knows better than the runner why an attempt ended."""
    if attempt is None:
        return True
    if attempt.outcome == "cancelled":
        return ending.cause in _SLURM_KNOWS_BETTER | _ENDED_FROM_OUTSIDE
    if ended_from_outside(attempt):
        return ending.cause in _SLURM_KNOWS_BETTER | _ENDED_FROM_OUTSIDE
    return ending.cause in _SLURM_KNOWS_BETTER
