"""What becomes of a job that a task has come to. Pure functions: every scheduler decides alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from airflow_provider_repx.lab import JobId, Run

__all__ = ["Action", "Decision", "decide"]

_SHOWN = 3


class Action(Enum):
    """`REUSE`: it is done. `SKIP`: it may not start. `RUN`: neither."""

    REUSE = "reuse"
    RUN = "run"
    SKIP = "skip"


@dataclass(frozen=True)
class Decision:
    """An action, and for `SKIP` the reason in words."""

    action: Action
    reason: str = ""


def decide(run: Run, job_id: JobId, done: frozenset[JobId], *, stopped: bool = False) -> Decision:
    """What to do about a job, given what is `done` (see `done_jobs`) of it and the jobs that it reads from.

    A job that is done is reused, whatever failed. Otherwise it needs everything that it reads from, and must not start
    when the DAG run is `stopped`: a job failed, and ``continue_on_failure`` is false.
    """
    if job_id in done:
        return Decision(Action.REUSE)
    missing = sorted(set(run.jobs[job_id].producers) - done)
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
        return Decision(Action.SKIP, f"upstream jobs are not done: {shown}")
    if stopped:
        return Decision(Action.SKIP, "a job of this DAG run failed and continue_on_failure is false")
    return Decision(Action.RUN)
