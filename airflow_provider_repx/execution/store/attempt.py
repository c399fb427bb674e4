"""How the last attempt at a job ended: ``outputs/<job>/repx/attempt.json``, written by the runner.

The runner writes this record before the marker ``SUCCESS`` or ``FAIL``. It carries the token of the claim that the
attempt was made under, so nobody takes another attempt's outcome for their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from airflow_provider_repx.execution.store.claimant import ClaimRecord
from airflow_provider_repx.execution.store.files import store_error, write_atomically
from airflow_provider_repx.execution.store.job_paths import JobPaths

__all__ = ["Attempt", "AttemptOutcome", "parse_attempt", "read_attempt", "reject", "settle_markers", "write_attempt"]

AttemptOutcome: TypeAlias = Literal["succeeded", "failed", "cancelled"]

_FIRST_SIGNAL_STATUS = 129
_LAST_SIGNAL_STATUS = 192


@dataclass(frozen=True)
class Attempt:
    """One finished attempt.

    `exit_code` is the script's as a shell reports it (128 + n for signal n); `cause` is empty, or ``TIMEOUT``, or a
    sentence. `started` and `ended` are seconds since 1970, `cpu_seconds` those of all its processes together.
    `peak_memory` is the resident memory in bytes of its largest process; `None` where nobody could tell, or where it
    stayed below what the supervising worker itself takes. `stderr_offset` is where its part of ``stderr.log`` begins,
    in bytes.
    """

    token: str
    outcome: AttemptOutcome
    cause: str = ""
    exit_code: int | None = None
    started: float = 0.0
    ended: float = 0.0
    cpu_seconds: float | None = None
    host: str = ""
    stderr_offset: int = 0
    claim: ClaimRecord | None = None
    slurm_id: str = ""
    node: str = ""
    peak_memory: int | None = None

    def to_mapping(self) -> dict[str, Any]:
        """As the record's file holds it."""
        data = {name: value for name, value in vars(self).items() if name != "claim"}
        return data | {"claim": json.loads(self.claim.to_json()) if self.claim else None}

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, self.ended - self.started)

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended the script, if one did."""
        code = self.exit_code or 0
        return code - 128 if _FIRST_SIGNAL_STATUS <= code <= _LAST_SIGNAL_STATUS else None


def read_attempt(path: Path) -> Attempt | None:
    """The record at `path`; `None` where there is none that can be read."""
    try:
        return _parse(json.loads(path.read_bytes()))
    except (OSError, KeyError, TypeError, ValueError):
        return None


def parse_attempt(text: str) -> Attempt | None:
    """A record from its text; `None` for one that cannot be read."""
    try:
        return _parse(json.loads(text))
    except (KeyError, TypeError, ValueError):
        return None


def write_attempt(path: Path, attempt: Attempt) -> None:
    """Write a record in the runner's place, for an attempt whose runner could not; raises `StoreError`."""
    write_atomically(path, json.dumps(attempt.to_mapping()).encode())


def settle_markers(paths: JobPaths, attempt: Attempt) -> None:
    """Write the marker that belongs to an attempt, for a runner that was stopped between its record and its marker.

    Only while holding the job's claim. Raises `StoreError`.
    """
    marker = {"succeeded": paths.success, "failed": paths.fail, "cancelled": None}[attempt.outcome]
    if marker is None or marker.exists():
        return
    try:
        marker.touch()
    except OSError as error:
        raise store_error(f"mark the job as {attempt.outcome}", marker, error) from error


def reject(paths: JobPaths, attempt: Attempt, cause: str, *, outcome: AttemptOutcome = "failed") -> Attempt:
    """Turn an attempt whose script succeeded into another one, since its results are not what they have to be.

    Only while holding the unit's claim. Returns that attempt; raises `StoreError`.
    """
    rejected = replace(attempt, outcome=outcome, cause=cause)
    try:
        paths.success.unlink(missing_ok=True)
    except OSError as error:
        raise store_error("remove the marker of a success that was none", paths.success, error) from error
    write_attempt(paths.attempt, rejected)
    settle_markers(paths, rejected)
    return rejected


def _parse(data: Any) -> Attempt:
    if data["outcome"] not in ("succeeded", "failed", "cancelled"):
        raise ValueError(data["outcome"])
    claim = data["claim"]
    return Attempt(
        token=str(data["token"]),
        outcome=data["outcome"],
        cause=str(data["cause"]),
        exit_code=data["exit_code"],
        started=float(data["started"]),
        ended=float(data["ended"]),
        cpu_seconds=data["cpu_seconds"],
        host=str(data["host"]),
        stderr_offset=int(data["stderr_offset"]),
        claim=None if claim is None else ClaimRecord.from_mapping(claim),
        slurm_id=str(data.get("slurm_id", "")),
        node=str(data.get("node", "")),
        peak_memory=data.get("peak_memory"),
    )
