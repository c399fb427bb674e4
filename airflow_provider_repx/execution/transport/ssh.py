"""Commands on another machine, all over one SSH connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import asyncssh

from airflow_provider_repx.errors import TransportError
from airflow_provider_repx.execution.transport.login_shell import RemoteCommand, remote_command
from airflow_provider_repx.execution.transport.protocol import Completed
from airflow_provider_repx.execution.transport.ssh_command import RunningCommand, broken_connection
from airflow_provider_repx.execution.transport.ssh_connection import connect, is_passing
from airflow_provider_repx.execution.transport.ssh_settings import SshSettings
from airflow_provider_repx.execution.transport.streams import Input

__all__ = ["SshTransport"]

_TRIES = 3
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class SshTransport:
    """Runs commands on another machine; see `Transport`.

    The connection is made by the first command and made again by the first one after it broke. While the machine cannot
    be reached, commands fail at once with the last error, and a new connection is tried after a pause that doubles from
    1 to 30 seconds. At most `SshSettings.max_sessions` commands run at once, further ones wait for their turn, which
    does not count as their time.
    """

    is_local = False

    def __init__(self, settings: SshSettings) -> None:
        self.settings = settings
        self._sessions = asyncio.Semaphore(settings.max_sessions)
        self._connecting = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._refusal: TransportError | None = None
        self._refused_until = 0.0
        self._refusals = 0
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def description(self) -> str:
        """The machine, for messages: ``[user@]host[:port]``."""
        return self.settings.destination

    async def run(self, command: Sequence[str], *, stdin: Input = b"", timeout: float) -> Completed:
        """Run a command; see `Transport.run`."""
        remote = remote_command(
            command,
            timeout=timeout,
            environment=dict(self.settings.environment),
            search_path=self.settings.search_path,
        )
        async with self._sessions:
            running = await self._begin(remote, command[0])
            try:
                return await running.converse(stdin, timeout)
            except BaseException:
                self._end_later(running)
                raise

    async def close(self) -> None:
        """End the connection; the next command opens it again."""
        await asyncio.gather(*self._endings, return_exceptions=True)
        async with self._connecting:
            connection, self._connection = self._connection, None
            self._refusal, self._refusals = None, 0
            if connection is not None:
                connection.close()
                await connection.wait_closed()

    def _end_later(self, running: RunningCommand) -> None:
        """End a command that nobody waits for any more, without making anybody wait for its end."""
        ending = asyncio.create_task(running.end())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _begin(self, remote: RemoteCommand, name: str) -> RunningCommand:
        """Start a command, over a new connection if this one turns out to be dead before anything was sent."""
        pause = _FIRST_PAUSE
        while True:
            connection = await self._connected()
            try:
                process = await _start(connection, remote.line)
            except asyncssh.ChannelOpenError as error:
                if error.code == asyncssh.OPEN_REQUEST_SESSION_FAILED:
                    raise broken_connection(self.description, error) from error
                if connection.is_closed():
                    # The machine never saw the command.
                    continue
                # The server allows fewer sessions than the settings say: wait until some have ended.
                if pause > _LONGEST_PAUSE:
                    raise self._too_many_sessions(error) from error
            except (asyncssh.Error, OSError) as error:
                raise broken_connection(self.description, error) from error
            else:
                return RunningCommand(connection, process, remote, name=name, where=self.description)
            await asyncio.sleep(pause)
            pause *= 2

    def _too_many_sessions(self, error: asyncssh.ChannelOpenError) -> TransportError:
        return TransportError(
            f"{self.description}: the server refuses further sessions ({error.reason}). Set max_sessions, now"
            f" {self.settings.max_sessions}, below its MaxSessions."
        )

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._connecting:
            if self._connection is not None and not self._connection.is_closed():
                return self._connection
            if self._refusal is not None and asyncio.get_running_loop().time() < self._refused_until:
                raise type(self._refusal)(str(self._refusal)) from self._refusal
            try:
                self._connection = await self._connect()
            except TransportError as error:
                self._refusal = error
                pause = min(_LONGEST_PAUSE, 2.0**self._refusals)
                self._refusals += 1
                self._refused_until = asyncio.get_running_loop().time() + pause
                raise
            self._refusal, self._refusals = None, 0
            return self._connection

    async def _connect(self) -> asyncssh.SSHClientConnection:
        """Try a few times: a server drops connections when many arrive at once (MaxStartups)."""
        pause = _FIRST_PAUSE
        for _ in range(_TRIES - 1):
            try:
                return await connect(self.settings)
            except TransportError as error:
                if not is_passing(error):
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads clients, keeps no secret
            pause *= 2
        return await connect(self.settings)


async def _start(connection: asyncssh.SSHClientConnection, line: str) -> asyncssh.SSHClientProcess[bytes]:
    """Start a command; who is cancelled meanwhile leaves no session open, of which a server allows only a few."""
    starting = asyncio.ensure_future(connection.create_process(line, encoding=None))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_close_unwanted)
        raise


def _close_unwanted(starting: asyncio.Future[asyncssh.SSHClientProcess[bytes]]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().close()
