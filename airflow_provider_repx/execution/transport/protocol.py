"""What everything above asks of a way to a target."""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Completed", "Transport"]


@dataclass(frozen=True)
class Completed:
    """A command that has ended; `exit_code` is negative for a signal."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Transport(Protocol):
    """A way to run commands on a target's machine. One instance serves many concurrent callers of one event loop."""

    @property
    def description(self) -> str:
        """The machine, for messages: ``this machine`` or ``user@host``."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether commands run on this very machine."""
        ...

    async def run(
        self, command: Sequence[str], *, stdin: bytes | AsyncIterable[bytes] = b"", timeout: float
    ) -> Completed:
        """Run a command, given as an argument list, and wait for its end, whatever its exit code.

        Raises `TransportError` when the machine cannot be reached or the connection breaks: the command may or may not
        have run. Raises `CommandTimeoutError` after `timeout` seconds; the command is then ended as far as possible.
        """
        ...

    async def close(self) -> None:
        """End the connection; the next command opens it again."""
        ...
