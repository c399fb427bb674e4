"""How a cluster is reached and used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_repx.errors import TargetError

__all__ = ["SlurmSettings"]

_UMASK = re.compile(r"0?[0-7]{3}")


@dataclass(frozen=True)
class SlurmSettings:
    """One target under Slurm. All times are in seconds.

    Attributes:
        base_path: The target's base path, on a file system that its nodes share.
        umask: Octal, for everything that is created, such as ``"0007"`` for a store that a group shares; absent, the
            user's own.
        first_poll: The interval of the first questions to Slurm after something new was submitted.
        last_poll: What the interval grows to while nothing changes.
        window: How long a request waits for others to be submitted with.
        longest_window: How long it waits at most while more of them arrive.
        largest_array: Upper bound of the jobs of an array, besides the cluster's own.
        command_timeout: After which a command of Slurm has failed.
        accounting_timeout: After which the accounting has failed to answer, and is done without.
        marker_grace: How long the record of a job that has left the queue may take to show up in the store.
        unknown_deadline: How long nobody may know what became of a job before that is an error.
        grace: Between TERM and KILL for a job's script.
        pass_environment: Names or patterns of further variables of the submitting machine that a job inherits.

    """

    base_path: Path
    umask: str | None = None
    first_poll: float = 0.5
    last_poll: float = 15.0
    window: float = 0.25
    longest_window: float = 2.0
    largest_array: int = 1000
    command_timeout: float = 60.0
    accounting_timeout: float = 15.0
    marker_grace: float = 30.0
    unknown_deadline: float = 600.0
    grace: float = 3.0
    pass_environment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.base_path.is_absolute():
            raise TargetError(
                f"base path {str(self.base_path)!r}: it must be absolute, since nodes work in other folders"
            )
        if self.umask is not None and not _UMASK.fullmatch(self.umask):
            raise TargetError(f"umask {self.umask!r}: it must be three octal digits, such as 007")
        if not 0 < self.first_poll <= self.last_poll:
            raise TargetError(f"poll intervals {self.first_poll} and {self.last_poll}: the last one is the larger one")
        if self.largest_array < 1:
            raise TargetError(f"largest array {self.largest_array}: an array has at least one job")
