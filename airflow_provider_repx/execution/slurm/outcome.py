"""How a job on a cluster ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from airflow_provider_repx.execution.units import Unit
from airflow_provider_repx.execution.units.outcome_text import outcome_text, part_fields

__all__ = ["SlurmOutcome", "SlurmStatus"]

SlurmStatus: TypeAlias = Literal["succeeded", "failed", "cancelled", "lost"]
"""`lost`: the machine failed the job, so another try may succeed."""


@dataclass(frozen=True)
class SlurmOutcome:
    """How a job ended.

    Attributes:
        name: What messages call it.
        status: Whether it succeeded, and whose fault it was otherwise.
        reused: Whether the outcome is that of an attempt which this request did not start.
        stdout: Log of standard output, of all attempts; a path on the target.
        stderr: Log of standard error, likewise.
        cause: The kind of the end, in Slurm's words where they fit: ``exit code``, ``signal``, ``OUT_OF_MEMORY``,
            ``TIMEOUT``, ``NODE_FAIL``, ``PREEMPTED``, ``CANCELLED``, ``BOOT_FAIL``, ``DEADLINE``,
            ``DependencyNeverSatisfied``, ...; empty for a success.
        explanation: The same as a sentence.
        exit_code: The script's, as a shell reports it: 128 + n when signal n ended it.
        signal: The number of that signal.
        slurm_id: Array job and index, such as ``123_4``; empty when it was never submitted.
        node: Where it ran.
        started: When the attempt started, in seconds since 1970.
        seconds: How long it took.
        cpu_seconds: Processor time of all its processes together.
        peak_memory: Bytes of resident memory, where Slurm's accounting or the node knew them.
        stderr_tail: The last lines that this attempt alone wrote to standard error.
        holder: Who made a reused outcome.
        unit: The unit of a lab that this was, if it was one.

    """

    name: str
    status: SlurmStatus
    reused: bool
    stdout: Path
    stderr: Path
    cause: str = ""
    explanation: str = ""
    exit_code: int | None = None
    signal: int | None = None
    slurm_id: str = ""
    node: str = ""
    started: float | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    stderr_tail: tuple[str, ...] = ()
    holder: str | None = None
    unit: Unit | None = None

    def describe(self) -> str:
        """What to write into a log: one line, and for a job that did not succeed its last words and its logs' paths."""
        figures = (
            None if self.peak_memory is None else f", at most {self.peak_memory / 2**20:.0f} MiB",
            f", Slurm job {self.slurm_id}" if self.slurm_id else None,
            f" on {self.node}" if self.node else None,
        )
        return outcome_text(self, explanation=self.explanation, figures=figures)

    def summary(self) -> dict[str, Any]:
        """The figures, as JSON can hold them; for an XCom."""
        unit = self.unit
        return {
            "job": unit.job_id if unit is not None else self.name,
            **part_fields(unit),
            "status": self.status,
            "cause": self.cause,
            "reused": self.reused,
            "exit_code": self.exit_code,
            "started": self.started,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_memory": self.peak_memory,
            "slurm_job": self.slurm_id,
            "node": self.node,
            "stderr": str(self.stderr),
            "stdout": str(self.stdout),
        }
