"""A command on another machine with this process's own standard streams, in a terminal where this process has one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from typing import Any

import asyncssh

from airflow_provider_repx.execution.transport.login_shell import shell_line
from airflow_provider_repx.execution.transport.ssh_command import broken_connection
from airflow_provider_repx.execution.transport.ssh_connection import connect
from airflow_provider_repx.execution.transport.ssh_settings import SshSettings
from airflow_provider_repx.execution.transport.ssh_signals import SignalsPassedOn

__all__ = ["run_shell"]

_SIGNALLED = 128
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_STREAMS = {"stdin": _STDIN, "stdout": _STDOUT, "stderr": _STDERR}


async def run_shell(settings: SshSettings, command: Sequence[str]) -> int:
    """Run a command, however long it takes, over a connection of its own; its exit code, 128 + n for signal n.

    Signals that would end this process end the command there. Raises `TransportError` when the machine cannot be
    reached, the connection breaks, or the command cannot be ended.
    """
    connection = await connect(settings)
    signals = SignalsPassedOn(connection, settings.destination)
    try:
        environment = {**dict(settings.environment), **signals.environment}
        line = shell_line(command, environment=environment, search_path=settings.search_path)
        return await _attached(connection, line, settings.destination, signals)
    except (asyncssh.Error, OSError) as error:
        raise broken_connection(settings.destination, error) from error
    finally:
        connection.close()
        await connection.wait_closed()


async def _attached(connection: asyncssh.SSHClientConnection, line: str, where: str, signals: SignalsPassedOn) -> int:
    terminal = os.isatty(_STDIN) and os.isatty(_STDOUT)
    options: dict[str, Any] = {}
    if terminal:
        options = {"term_type": os.environ.get("TERM", "xterm"), "term_size": tuple(shutil.get_terminal_size())}
    sys.stdout.flush()
    # Duplicates, since the library closes what it is given.
    streams = {name: os.dup(number) for name, number in _STREAMS.items()}
    with _raw() if terminal else contextlib.nullcontext():
        process = await connection.create_process(line, encoding=None, **streams, **options)
        if terminal:
            _follow_size(process)
        await signals.wait_for(process)
    code = process.returncode
    if code is None:
        raise broken_connection(where, None)
    return code if code >= 0 else _SIGNALLED - code


def _follow_size(process: asyncssh.SSHClientProcess[bytes]) -> None:
    def change() -> None:
        columns, lines = shutil.get_terminal_size()
        process.change_terminal_size(columns, lines)

    asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, change)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """This process's terminal passes on every key, as the other machine's terminal knows what they mean."""
    before = termios.tcgetattr(_STDIN)
    tty.setraw(_STDIN)
    try:
        yield
    finally:
        termios.tcsetattr(_STDIN, termios.TCSADRAIN, before)
