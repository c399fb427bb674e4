"""Signals to this process end a program on another machine: first the same signal, then ones that cannot be refused.

SSH's own signal requests are not used: OpenSSH refuses them for root, and before 7.9 altogether. The program and what
it has started carry a token in their environment, by which another session of the same connection finds them.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Iterator

import asyncssh

from airflow_provider_repx.errors import TransportError
from airflow_provider_repx.execution.transport.login_shell import shell_line

__all__ = ["SignalsPassedOn"]

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MARK = "REPX_SHELL"
_SIGNAL_MARKED = """
for folder in /proc/[0-9]*; do
    if tr '\\0' '\\n' < "$folder/environ" | grep -qxF -- "$1"; then kill -s "$2" "${folder#/proc/}"; fi
done 2>/dev/null
"""
_PATIENCE_SECONDS = 5.0
"""Between one signal and the next, stronger one."""


class SignalsPassedOn:
    """What becomes of SIGINT, SIGTERM and SIGHUP while a program runs on the machine `where`.

    The program has to be started with `environment`. It and its children get the same signal, `patience` seconds later
    TERM, and then KILL; the second signal of a person in a hurry is KILL at once.
    """

    def __init__(
        self, connection: asyncssh.SSHClientConnection, where: str, *, patience: float = _PATIENCE_SECONDS
    ) -> None:
        self._connection = connection
        self._where = where
        self.environment = {_MARK: secrets.token_hex(16)}
        self._patience = patience
        self._received: asyncio.Queue[signal.Signals] = asyncio.Queue()

    async def wait_for(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        """Wait until the program has ended; raises `TransportError` where it outlives all signals."""
        with self._handlers():
            ended = asyncio.ensure_future(process.wait_closed())
            stopped = asyncio.ensure_future(self._stop())
            try:
                await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
                if not ended.done():
                    await stopped
                await ended
            finally:
                for task in (ended, stopped):
                    task.cancel()
                await asyncio.gather(ended, stopped, return_exceptions=True)

    @contextlib.contextmanager
    def _handlers(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handled = []
        before = {number: signal.getsignal(number) for number in _PASSED_ON}
        for number in _PASSED_ON:
            # Only a process's main thread can be told of signals; and what a process ignores, as under nohup, stays so.
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                if before[number] is not signal.SIG_IGN:
                    loop.add_signal_handler(number, self._received.put_nowait, number)
                    handled.append(number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])

    async def _stop(self) -> None:
        """Send what was received, then stronger signals until the program has ended."""
        first = await self._received.get()
        await self._send(first)
        if not await self._hurried() and first is not signal.SIGTERM:
            await self._send(signal.SIGTERM)
            await self._hurried()
        await self._send(signal.SIGKILL)
        await asyncio.sleep(self._patience)
        raise TransportError(
            f"{self._where}: the program was told to end and has not ended; it may still run there."
            " Look there for processes of yours."
        )

    async def _hurried(self) -> bool:
        """Whether a further signal comes before the patience is at its end."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._received.get(), self._patience)
            return True
        return False

    async def _send(self, number: signal.Signals) -> None:
        (mark,) = (f"{name}={value}" for name, value in self.environment.items())
        line = shell_line(["sh", "-c", _SIGNAL_MARKED, "signal", mark, number.name.removeprefix("SIG")])
        # Whether it has worked shows in the program's end.
        with contextlib.suppress(OSError, asyncssh.Error, asyncio.TimeoutError):
            await asyncio.wait_for(self._connection.run(line, stdin=asyncssh.DEVNULL), self._patience)
