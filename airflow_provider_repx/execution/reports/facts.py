"""What is known of one job at the end of a DAG run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from airflow_provider_repx.lab import JobId, Scalar
from airflow_provider_repx.targets import Resources

__all__ = ["JobEnd", "JobFacts"]


class JobEnd(str, Enum):
    """What became of a job in one DAG run.

    `EXECUTED`: this DAG run has made it. `REUSED`: it was done before, or somebody else did it meanwhile.
    `CANCELLED`: it was stopped. `SKIPPED`: it did not start. `RUNNING`: somebody else is at it.
    """

    EXECUTED = "executed"
    REUSED = "reused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RUNNING = "running"
    SKIPPED = "skipped"

    def __str__(self) -> str:
        return self.value

    @property
    def is_done(self) -> bool:
        """Whether the job's results are there."""
        return self in (JobEnd.EXECUTED, JobEnd.REUSED)


@dataclass(frozen=True)
class JobFacts:
    """One job of a DAG run.

    Attributes:
        job_id: The job.
        task_id: The task that completes it.
        end: What became of it.
        parameters: What tells it from others: its own parameters and those of what it was made from.
        asked: The resources that it asks for.
        cause: Why it is not done, in words; empty when it is.
        log: Where its last words are; absent for a job that did not start.
        measured: Whether this DAG run has run it, so that the figures below are about that.
        seconds: How long it ran.
        cpu_seconds: Processor time of all its processes, those of the parts of a scatter-gather job among them.
        asked_cpu_seconds: The CPUs that it asked for, times how long they were taken, summed over its parts.
        peak_memory: Resident memory in bytes, where somebody could tell.
        hit: The limit that ended it: ``time`` or ``memory``; empty for none.
        label: What the plan shows of it beside its task: the values that tell it from other jobs.

    """

    job_id: JobId
    task_id: str
    end: JobEnd
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    asked: Resources = field(default_factory=Resources)
    cause: str = ""
    log: Path | None = None
    measured: bool = False
    seconds: float = 0.0
    cpu_seconds: float | None = None
    asked_cpu_seconds: float = 0.0
    peak_memory: int | None = None
    hit: str = ""
    label: str | None = None

    @property
    def description(self) -> str:
        """What tells it from the other jobs of its stage; without a plan's label its parameters, else its id."""
        if self.label is not None:
            return self.label
        return ", ".join(f"{name}={value}" for name, value in self.parameters.items()) or self.job_id
