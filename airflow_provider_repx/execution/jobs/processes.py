"""All processes of a job on this machine, found and ended, whoever started them and whichever group they moved to."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from airflow_provider_repx.execution.jobs.environment import TOKEN_VARIABLE

__all__ = ["boot_ticks", "job_processes", "may_have_processes", "terminate_job"]

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_KILL_SECONDS = 5.0
_RECENT_SECONDS = 1.0

_NEVER = sys.maxsize
"""A start after everything else."""


class _SessionStarts:
    """When the sessions that a look has just met began: on a busy machine, asking again takes longer than the look.

    The number of a session is not given to another one while anybody is in it, and after that not before all other
    numbers were used. So what a look has met is believed for a moment, and forgotten once a look does not meet it.
    """

    def __init__(self) -> None:
        # One object, which other threads see whole.
        self._last: tuple[float, dict[int, int]] = (-math.inf, {})

    def recent(self) -> dict[int, int]:
        """What can be believed: `boot_ticks` by session."""
        looked, starts = self._last
        return starts if time.monotonic() - looked < _RECENT_SECONDS else {}

    def keep(self, starts: dict[int, int]) -> None:
        """Take what a look has met."""
        self._last = time.monotonic(), starts


_starts = _SessionStarts()


def job_processes(token: str) -> list[psutil.Process]:
    """The processes of the job that runs under a claim's token, its runner first.

    Those are the processes that carry the token in their environment, and whatever descends from them or shares a
    session with them: the runner began a session of its own, so all sessions below it belong to the job. Only a process
    that gave up environment, session and parent (a daemon on purpose) is not found.
    """
    processes = {process.pid: process for process in psutil.process_iter()}
    entry = f"{TOKEN_VARIABLE}={token}".encode()
    found = {pid for pid in processes if entry in _environment(pid)}
    if not found:
        return []
    parents = dict(_parents(processes.values()))
    sessions = {pid: _session(pid) for pid in processes}
    while True:
        inside = {sessions[pid] for pid in found} - {0, None}
        more = {pid for pid in processes if parents.get(pid) in found or sessions[pid] in inside} - found
        if not more:
            break
        found |= more
    living = [processes[pid] for pid in found if _is_alive(processes[pid])]
    return sorted(living, key=lambda process: (parents.get(process.pid) in found, _started(process), process.pid))


def boot_ticks() -> int:
    """Now, as ``/proc`` tells when a process started: in clock ticks since the machine started."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def may_have_processes(token: str, runner: int, since: int) -> bool:
    """Whether `job_processes` can find anything of a job whose runner has ended; a fraction of its work.

    `runner` was the runner's process id, and so that of its session; `since` are the `boot_ticks` from before it
    started. What is left of a job is in that session or in one begun since, and there carries the token.
    """
    entry = f"{TOKEN_VARIABLE}={token}".encode()
    known = _starts.recent()
    starts: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - hundreds of names, for each job
        if not name.isdigit():
            continue
        session = _session(int(name))
        # Zero is the kernel's own.
        if not session:
            continue
        if session == runner:
            return True
        start = starts.get(session)
        if start is None:
            # A leader that is gone tells nothing.
            start = starts[session] = known.get(session) or _start_ticks(session) or _NEVER
        if start >= since and entry in _environment(int(name)):
            return True
    _starts.keep({session: start for session, start in starts.items() if start != _NEVER})
    return False


def terminate_job(token: str, *, grace: float, first: signal.Signals = signal.SIGTERM) -> bool:
    """End every process of a job: TERM, then KILL after `grace` seconds. True when none is left.

    The runner gets the signal `first` before any other process gets TERM, so that it knows why its script ends. It
    has the same grace of its own, and is given the time to record the outcome.
    """
    signalled: dict[psutil.Process, None] = {}
    patience = time.monotonic() + grace
    deadline = patience + _KILL_SECONDS
    while members := _with_known(job_processes(token), signalled):
        now = time.monotonic()
        if now > deadline:
            numbers = ", ".join(str(process.pid) for process in members)
            _log.error("these processes of the job could not be killed: %s", numbers)
            return False
        for position, process in enumerate(members):
            runner = position == 0 and not signalled
            # The runner kills its script by itself when patience is over; it needs a moment more to write that down.
            killing = now > patience + (2.0 if position == 0 else 0.0)
            if killing:
                _send(process, signal.SIGKILL)
            elif process not in signalled:
                _send(process, first if runner else signal.SIGTERM)
                _send(process, signal.SIGCONT)
            signalled[process] = None
        time.sleep(_POLL_SECONDS)
    return True


def _with_known(found: list[psutil.Process], known: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Add those known from before: a process may be found through its parent only, which has ended by now."""
    return found + [process for process in known if process not in found and _is_alive(process)]


def _send(process: psutil.Process, number: signal.Signals) -> None:
    """Signal a process unless it has ended; psutil makes sure that its number was not given to another one."""
    with suppress(psutil.Error):
        process.send_signal(number)


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _parents(processes: Iterable[psutil.Process]) -> Iterator[tuple[int, int]]:
    for process in processes:
        with suppress(psutil.Error):
            yield process.pid, process.ppid()


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _start_ticks(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command's name stands in parentheses and may hold anything, so the fields are counted from its end.
    return int(text.rpartition(b")")[2].split()[19])


def _started(process: psutil.Process) -> float:
    try:
        return float(process.create_time())
    except psutil.Error:
        return float("inf")


def _is_alive(process: psutil.Process) -> bool:
    """False for a zombie too: it holds nothing any more."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
