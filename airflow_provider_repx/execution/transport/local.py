"""Commands on this very machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from airflow_provider_repx.errors import CommandTimeoutError, TransportError
from airflow_provider_repx.execution.transport.protocol import Completed
from airflow_provider_repx.execution.transport.streams import Input, feed

__all__ = ["LocalTransport"]

_PASSED_ON = (
    "HOME",
    "HOSTNAME",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "SHELL",
    "SLURM_CONF",
    "SLURM_CONF_SERVER",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_RUNTIME_DIR",
)
"""What commands see of the environment: an allowlist, since a worker's holds connections, keys and tokens."""

_GRACE_SECONDS = 2.0
_CANNOT_EXECUTE = 126
_NOT_FOUND = 127


class LocalTransport:
    """Runs commands on this machine, each in a session of its own.

    A command has ended when its process has; what it leaves running in the background is neither waited for nor ended.
    """

    description = "this machine"
    is_local = True

    def __init__(
        self, *, environment: Mapping[str, str] | None = None, inherited: Mapping[str, str] | None = None
    ) -> None:
        """Take variables that every command gets besides the few that it may inherit (default: of this process)."""
        source = os.environ if inherited is None else inherited
        kept = {name: source[name] for name in _PASSED_ON if name in source}
        # The C locale, so that messages can be recognized.
        self._environment = {**kept, "LC_ALL": "C", **(environment or {})}

    async def run(self, command: Sequence[str], *, stdin: Input = b"", timeout: float) -> Completed:
        """Run a command; see `Transport.run`. A program that is not there ends with exit code 127, as in a shell."""
        with _temporary(3) as (given, stdout, stderr):
            piped = not isinstance(stdin, bytes)
            if isinstance(stdin, bytes):
                given.write(stdin)
                given.seek(0)
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE if piped else given,
                    stdout=stdout,
                    stderr=stderr,
                    env=self._environment,
                    start_new_session=True,
                )
            except (FileNotFoundError, PermissionError) as error:
                missing = isinstance(error, FileNotFoundError)
                said = f"{command[0]}: {error.strerror}\n".encode()
                return Completed(_NOT_FOUND if missing else _CANNOT_EXECUTE, b"", said)
            except (OSError, ValueError) as error:
                raise TransportError(f"{command[0]!r} cannot be started on this machine: {error}") from error
            if not await _finish(process, stdin if piped else None, timeout):
                raise CommandTimeoutError(
                    f"{command[0]} on this machine was stopped after {timeout:g} s, the time it was allowed",
                    stderr=_content(stderr).decode(errors="replace"),
                )
            return Completed(process.returncode or 0, _content(stdout), _content(stderr))

    async def close(self) -> None:
        """There is nothing to close."""


@contextmanager
def _temporary(count: int) -> Iterator[list[IO[bytes]]]:
    """Files without a name. Unlike a pipe, one is not kept open for a reader by what a command leaves running."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_anonymous()) for _ in range(count)]


def _anonymous() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("repx"), "w+b")
    return tempfile.TemporaryFile()


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


async def _finish(process: asyncio.subprocess.Process, stdin: Input | None, timeout: float) -> bool:
    """Feed a process and wait for its end; `False` if it had to be killed when its time was up."""
    ending = asyncio.create_task(process.wait())
    tasks: set[asyncio.Task[Any]] = {ending}
    if stdin is not None and process.stdin is not None:
        tasks.add(asyncio.create_task(feed(process.stdin, stdin)))
    try:
        deadline = asyncio.get_running_loop().time() + timeout
        while not ending.done():
            left = deadline - asyncio.get_running_loop().time()
            done, tasks = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return False
            for task in done:
                task.result()
        return True
    finally:
        for task in tasks - {ending}:
            task.cancel()
        await asyncio.shield(_stop(process, ending))
        await asyncio.gather(*tasks, return_exceptions=True)


async def _stop(process: asyncio.subprocess.Process, ending: asyncio.Task[int]) -> None:
    """End a process and its group, first with TERM, then with KILL, unless it has ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if ending.done():
            break
        # Until its exit is collected the number is certain to be its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        await asyncio.wait({ending}, timeout=_GRACE_SECONDS)
    if process.stdin is not None:
        process.stdin.close()
