"""External commands: output line by line, a time limit, and no process left behind when they are stopped."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from airflow_provider_repx.errors import CommandError, CommandKilledError, CommandTimeoutError

__all__ = ["LineCallback", "ProcessRunner"]

LineCallback = Callable[[str], None]

_STDERR_LINES_KEPT = 100
_LONGEST_LINE = 1 << 20
_TICK_SECONDS = 0.25


class ProcessRunner:
    """Runs external commands, each in a session of its own, and kills all of their processes on demand.

    A command is stopped (SIGTERM, then SIGKILL after `grace` seconds) when its time is up, when `kill` is called, and
    when any exception passes through `run`: KeyboardInterrupt, or what a signal handler raises. Processes that left
    the command's process group, as Nix's builders do, are found as its descendants and stopped as well.
    """

    def __init__(self, grace: float = 5.0) -> None:
        self._grace = grace
        self._running: list[subprocess.Popen[bytes]] = []
        self._killed = False

    def run(
        self,
        arguments: Sequence[str],
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        on_line: LineCallback | None = None,
    ) -> str:
        """Run a command to its end and return what it wrote to stdout.

        `timeout` is in seconds. `on_line` gets every line of stderr as it comes, in the calling thread; an exception
        that it raises stops the command. `environment` replaces the inherited one.

        Raises:
            CommandError: the exit code is not 0, or the command cannot be started.
            CommandTimeoutError: the time is up.
            CommandKilledError: `kill` was called, now or before; a killed runner starts nothing more.
        """
        self._refuse_if_killed(arguments)
        try:
            process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=None if environment is None else dict(environment),
                cwd=directory,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(f"{arguments[0]} cannot be started: {error}") from error
        self._running.append(process)
        output = _Output(process, on_line)
        try:
            self._refuse_if_killed(arguments)
            output.read_until_exit(timeout)
        except subprocess.TimeoutExpired as error:
            _stop(process, self._grace)
            raise CommandTimeoutError(
                f"{arguments[0]} was stopped after {timeout:g} s, the time it was allowed", stderr=output.stderr
            ) from error
        except BaseException:
            _stop(process, self._grace)
            raise
        finally:
            self._running.remove(process)
            output.close()
        self._refuse_if_killed(arguments)
        if process.returncode != 0:
            raise CommandError(
                f"{arguments[0]} {_ending(process.returncode)}: {output.stderr.strip() or '(nothing on stderr)'}",
                exit_code=process.returncode,
                stderr=output.stderr,
            )
        return output.stdout

    def kill(self) -> None:
        """Stop what is running, with all its processes, and start nothing more.

        Safe to call from another thread and from a signal handler that interrupts `run`.
        """
        self._killed = True
        for process in list(self._running):
            _stop(process, self._grace)

    def _refuse_if_killed(self, arguments: Sequence[str]) -> None:
        if self._killed:
            raise CommandKilledError(f"{arguments[0]} was killed on request")


class _Output:
    """Both output streams of a process, read in one loop so that neither can fill up and block it."""

    def __init__(self, process: subprocess.Popen[bytes], on_line: LineCallback | None) -> None:
        self._process = process
        self._on_line = on_line
        self._stdout: list[bytes] = []
        self._partial_line = b""
        self._last_lines: deque[str] = deque(maxlen=_STDERR_LINES_KEPT)

    @property
    def stdout(self) -> str:
        return b"".join(self._stdout).decode(errors="replace")

    @property
    def stderr(self) -> str:
        return "\n".join(self._last_lines)

    def read_until_exit(self, timeout: float) -> None:
        """Read until both streams end and the process exits; raises `subprocess.TimeoutExpired`."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            for stream, take in ((self._process.stdout, self._stdout.append), (self._process.stderr, self._take_lines)):
                _set_non_blocking(stream)
                selector.register(stream, selectors.EVENT_READ, take)  # type: ignore[arg-type]  # both are pipes here
            while selector.get_map():
                if (remaining := deadline - time.monotonic()) <= 0:
                    raise subprocess.TimeoutExpired(self._process.args, timeout)
                ready = selector.select(min(_TICK_SECONDS, remaining))
                for key, _ in ready:
                    if chunk := os.read(key.fd, 1 << 16):
                        key.data(chunk)
                    else:
                        selector.unregister(key.fileobj)
                if not ready and self._process.poll() is not None:
                    # A process that outlives the command may hold the streams open for ever.
                    break
        self._process.wait(max(0.0, deadline - time.monotonic()))
        self._flush_partial_line()

    def close(self) -> None:
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _take_lines(self, chunk: bytes) -> None:
        *lines, self._partial_line = (self._partial_line + chunk).split(b"\n")
        for line in lines:
            self._take_line(line)
        if len(self._partial_line) > _LONGEST_LINE:
            self._flush_partial_line()

    def _flush_partial_line(self) -> None:
        line, self._partial_line = self._partial_line, b""
        if line:
            self._take_line(line)

    def _take_line(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self._last_lines.append(text)
        if self._on_line is not None:
            self._on_line(text)


def _set_non_blocking(stream: IO[bytes] | None) -> None:
    if stream is not None:
        os.set_blocking(stream.fileno(), False)


def _ending(returncode: int) -> str:
    if returncode < 0:
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"


def _stop(process: subprocess.Popen[bytes], grace: float) -> None:
    """Stop a command and every process that it started: SIGTERM, `grace` seconds, SIGKILL."""
    followers = _followers(process.pid)
    try:
        if process.poll() is None:
            # Only while the leader is not reaped is its number certain to be its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + grace
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
        psutil.wait_procs(followers, timeout=max(0.0, deadline - time.monotonic()))
    finally:
        for follower in {*followers, *_followers(process.pid)}:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                follower.kill()
        if process.poll() is None:
            process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)


def _followers(leader: int) -> set[psutil.Process]:
    """The descendants of a process and the members of its session, itself excluded.

    psutil knows a process by its number and start time, so that a number used again is never signaled.
    """
    found: set[psutil.Process] = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        found.update(psutil.Process(leader).children(recursive=True))
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.pid != leader and os.getsid(process.pid) == leader:
                found.add(process)
    return found
