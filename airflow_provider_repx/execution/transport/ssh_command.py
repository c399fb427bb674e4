"""One command that runs on another machine."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any

import asyncssh

from airflow_provider_repx.errors import CommandTimeoutError, TransportError, UnreachableError
from airflow_provider_repx.execution.transport.login_shell import RemoteCommand, kill_line
from airflow_provider_repx.execution.transport.protocol import Completed
from airflow_provider_repx.execution.transport.streams import Input, feed

__all__ = ["RunningCommand", "broken_connection"]

_GRACE_SECONDS = 2.0


class RunningCommand:
    """A command that was started in a session of a connection; `name` and `where` are for messages."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        process: asyncssh.SSHClientProcess[bytes],
        remote: RemoteCommand,
        *,
        name: str,
        where: str,
    ) -> None:
        self._connection = connection
        self._process = process
        self._remote = remote
        self._name = name
        self._where = where
        self._output: tuple[bytes, bytes] = (b"", b"")

    async def converse(self, stdin: Input, timeout: float) -> Completed:
        """Feed the command and wait for its end; raises like `Transport.run`, and then the command may still run."""
        collecting = asyncio.create_task(self._process.communicate())
        feeding = asyncio.create_task(feed(self._process.stdin, stdin))
        tasks: set[asyncio.Task[Any]] = {collecting, feeding}
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        try:
            while not collecting.done():
                done, tasks = await asyncio.wait(tasks, timeout=deadline - clock(), return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    raise self._time_is_up(timeout)
                for task in done:
                    task.result()
            self._output = collecting.result()
        except (asyncssh.Error, OSError) as error:
            raise broken_connection(self._where, error) from error
        finally:
            for task in (collecting, feeding):
                task.cancel()
            await asyncio.gather(collecting, feeding, return_exceptions=True)
        self._process.close()
        return self._completed()

    def _completed(self) -> Completed:
        code = self._process.returncode
        if code is None:
            raise broken_connection(self._where, None)
        stdout, stderr = (self._remote.strip(output) for output in self._output)
        if stdout is None or stderr is None:
            said = b"".join(self._output).decode(errors="replace").strip()
            raise TransportError(
                f"{self._where}: the login ended before it ran {self._name} (exit code {code}):"
                f" {said or '(it said nothing)'}. Check that this user may run commands there: ssh ... true."
            )
        return Completed(code, stdout, stderr)

    def _time_is_up(self, timeout: float) -> CommandTimeoutError:
        self._output = self._process.collect_output()
        return CommandTimeoutError(
            f"{self._name} on {self._where} was stopped after {timeout:g} s, the time it was allowed",
            stderr=(self._remote.strip(self._output[1]) or b"").decode(errors="replace"),
        )

    async def end(self) -> None:
        """End the command and its group, first with TERM, then with KILL; failing that, its own time limit does."""
        output = self._output[0] + self._process.collect_output()[0]
        process_id = self._remote.process_id(output)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if await self._send(number.name.removeprefix("SIG"), process_id):
                break
        self._process.close()

    async def _send(self, signal_name: str, process_id: int | None) -> bool:
        """Send a signal and say whether the command has ended."""
        with contextlib.suppress(asyncssh.Error, OSError, asyncio.TimeoutError):
            self._process.send_signal(signal_name)
            # OpenSSH does not pass signals on to commands of root, so another command sends them as well.
            if process_id is not None:
                await self._connection.run(kill_line(process_id, signal_name), timeout=_GRACE_SECONDS)
            await asyncio.wait_for(self._process.wait_closed(), _GRACE_SECONDS)
            return True
        return self._connection.is_closed()


def broken_connection(where: str, error: Exception | None) -> UnreachableError:
    """The error for a connection that broke while a command was under way."""
    reason = f" ({error})" if error is not None and str(error) else ""
    return UnreachableError(
        f"{where}: the connection broke{reason} while a command was under way, which may or may not have run. The next"
        " command connects again."
    )
