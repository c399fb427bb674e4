"""How a job, or one part of it, ended; for people and for programs."""

from __future__ import annotations

import os
import signal as signals
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_repx.execution.store.attempt import Attempt, AttemptOutcome
from airflow_provider_repx.execution.units import Unit
from airflow_provider_repx.execution.units.outcome_text import outcome_text, part_fields
from airflow_provider_repx.lab.models import JobId

__all__ = ["JobOutcome", "describe_exit", "read_tail"]

_TAIL_LINES = 20
_TAIL_BYTES = 65536


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended.

    Attributes:
        job_id: The job.
        status: `cancelled`: it was stopped, or nobody could see how it ended; running it again is the right answer.
        reused: Whether the outcome is that of an attempt which this request did not start.
        exit_code: The script's, as a shell reports it: 128 + n when signal n ended it.
        signal: The number of that signal.
        cause: Why it did not succeed, in words; empty when it did.
        started: When the attempt started, in seconds since 1970.
        seconds: How long it took.
        cpu_seconds: Processor time of all its processes together.
        peak_memory: Bytes of resident memory of its largest process; `None` also when that stayed below the worker's
            own, in which case Linux does not tell.
        stdout: Log of standard output, of all attempts.
        stderr: Log of standard error, of all attempts.
        stderr_tail: The last lines that this attempt alone wrote to standard error.
        holder: Who made a reused outcome.
        unit: The part of the job that this is about; absent, the job itself.

    """

    job_id: JobId
    status: AttemptOutcome
    reused: bool
    stdout: Path
    stderr: Path
    exit_code: int | None = None
    signal: int | None = None
    cause: str = ""
    started: float | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    stderr_tail: tuple[str, ...] = ()
    holder: str | None = None
    unit: Unit | None = None

    @property
    def name(self) -> str:
        """What messages call it: the job's id, and the part of it."""
        return str(self.unit) if self.unit is not None else self.job_id

    def describe(self) -> str:
        """What to write into a log: one line, and for a job that did not succeed its last words and its logs' paths."""
        memory = None if self.peak_memory is None else f", at most {self.peak_memory / 2**20:.0f} MiB per process"
        return outcome_text(self, explanation=self.cause, figures=[memory])

    def summary(self) -> dict[str, Any]:
        """The figures, as JSON can hold them; for an XCom."""
        return {
            "job": self.job_id,
            **part_fields(self.unit),
            "status": self.status,
            "reused": self.reused,
            "exit_code": self.exit_code,
            "started": self.started,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_memory": self.peak_memory,
            "stderr": str(self.stderr),
            "stdout": str(self.stdout),
        }


def describe_exit(attempt: Attempt) -> str:
    """Why an attempt did not succeed, in words; empty for one that did."""
    if attempt.outcome == "succeeded":
        return ""
    if attempt.cause == "TIMEOUT":
        return f"TIMEOUT: stopped after {attempt.seconds:.0f} s, its time limit"
    if attempt.cause:
        return attempt.cause
    if attempt.outcome == "cancelled":
        return "stopped on request"
    if attempt.signal is None:
        return f"its script exited with {attempt.exit_code}"
    name = signals.Signals(attempt.signal).name if attempt.signal in set(signals.Signals) else str(attempt.signal)
    hint = "; the kernel does so when memory runs out" if attempt.signal == signals.SIGKILL else ""
    return f"its script was ended by signal {name} (exit code {attempt.exit_code}){hint}"


def read_tail(path: Path, offset: int, lines: int = _TAIL_LINES) -> tuple[str, ...]:
    """The last `lines` of a log, of what was written from `offset` (bytes) on; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            # A log that has become shorter was begun anew.
            begin = offset if offset <= size else 0
            file.seek(max(begin, size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(text.splitlines()[-lines:])
