"""Commands on a target's machine, which may be this one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.transport import Completed
from airflow_provider_repx.hooks.reaching import connector
from airflow_provider_repx.targets import Target

__all__ = ["Session", "ask", "machine_of", "read", "told"]

_QUICK_SECONDS = 30.0
_TRANSFER_SECONDS = 600.0

_ResultT = TypeVar("_ResultT")


class Session:
    """Commands one after the other, over one connection; a context manager.

    Raises `TargetError` where a connection of Airflow's is missing or wrong.
    """

    def __init__(self, target: Target) -> None:
        self.transport = connector(target).open()
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Session:  # noqa: PYI034 - `Self` needs Python 3.11, and nobody derives from this class
        return self

    def __exit__(self, *_: object) -> None:
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        try:
            if left:
                self.wait(_all(left))
            self.wait(self.transport.close())
        finally:
            self._loop.close()

    def wait(self, work: Coroutine[Any, Any, _ResultT]) -> _ResultT:
        """Do something asynchronous, as with the transport, to its end."""
        return self._loop.run_until_complete(work)

    def ask(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float = _QUICK_SECONDS) -> Completed:
        """Run a command, whatever its exit code; raises `TransportError`."""
        return self.wait(self.transport.run(command, stdin=stdin, timeout=timeout))


async def _all(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def ask(target: Target, command: Sequence[str], *, timeout: float = _QUICK_SECONDS) -> Completed:
    """Run a command where the target's jobs run, whatever its exit code; raises `TargetError` or `TransportError`."""
    with Session(target) as session:
        return session.ask(command, timeout=timeout)


def read(target: Target, command: Sequence[str]) -> bytes:
    """What a command prints that reads the output store; raises `StoreError` where it fails, and as `ask` does."""
    done = ask(target, command, timeout=_TRANSFER_SECONDS)
    if done.exit_code:
        raise StoreError(f"on {machine_of(target)}: {told(done)}")
    return done.stdout


def machine_of(target: Target) -> str:
    """Where a target's jobs are started, for people."""
    return target.address or target.ssh_connection or "this machine"


def told(done: Completed) -> str:
    """Why a command failed, as far as it told."""
    return done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.exit_code}"
