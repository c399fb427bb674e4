"""Processes that outlive the one that started them, found again and ended without ever hitting a stranger.

A process is known by its pid together with its start time (in clock ticks since boot, from ``/proc/<pid>/stat``, see
proc(5)) and the boot id, so that a pid that the system has given to another process is recognized as foreign.
Everything started here also inherits a random mark in its environment, by which orphans are found whose parent died.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["MARK_VARIABLE", "ProcessIdentity", "identify", "is_running", "launch", "send", "stop_all", "tree_of"]

MARK_VARIABLE = "AIRFLOW_LOCAL_MARK"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Fields of /proc/<pid>/stat counted from behind the command's closing parenthesis: state is field 3, start time 22.
_STATE, _START_TIME = 0, 19


@dataclass(frozen=True)
class ProcessIdentity:
    """One process for as long as the machine runs: no later process can have the same three values."""

    pid: int
    started_ticks: int
    boot_id: str


def _stat(pid: int) -> list[str] | None:
    """The fields of ``/proc/<pid>/stat`` behind the command's name, or None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command may contain spaces and parentheses; the last parenthesis ends it.
    return text.rpartition(")")[2].split()


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of a living process, or None where there is none with this pid; a zombie does not live."""
    fields = _stat(pid)
    if fields is None or fields[_STATE] in {"Z", "X"}:
        return None
    return ProcessIdentity(pid, int(fields[_START_TIME]), _BOOT_ID.read_text(encoding="ascii").strip())


def is_running(identity: ProcessIdentity) -> bool:
    """Whether that very process still lives."""
    return identify(identity.pid) == identity


def launch(command: Sequence[str], *, environment: Mapping[str, str], log: Path, cwd: Path) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, its output appended to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def send(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Send a signal to that very process; False where it is gone."""
    if not is_running(identity):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(identity.pid, number)
        return True
    return False


def tree_of(roots: Iterable[ProcessIdentity], mark: str | None = None) -> frozenset[ProcessIdentity]:
    """The living among `roots`, all their descendants, and every process that carries `mark` in its environment."""
    found: set[ProcessIdentity] = set()
    for root in roots:
        if is_running(root):
            found.add(root)
            found.update(_descendants(root.pid))
    if mark is not None:
        for pid in _marked(mark):
            if (identity := identify(pid)) is not None:
                found.add(identity)
            found.update(_descendants(pid))
    # A program that itself runs inside the instance may ask to stop it, and lives to tell.
    return frozenset(identity for identity in found if identity.pid != os.getpid())


def _descendants(pid: int) -> Iterable[ProcessIdentity]:
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return
    for child in children:
        if (identity := identify(child.pid)) is not None:
            yield identity


def _marked(mark: str) -> Iterable[int]:
    entry = f"{MARK_VARIABLE}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        # Other users' processes cannot be read, and need not be: they were not started here.
        with contextlib.suppress(OSError):
            if entry in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def stop_all(roots: Sequence[ProcessIdentity], *, mark: str, grace: float) -> int:
    """End `roots` and all that came from them, and return how many processes lived at the beginning.

    The roots are asked first (TERM) and have `grace` seconds to end in good order; then whatever is left of the tree is
    asked, with as much time again; then it is killed.
    """
    everything = tree_of(roots, mark)
    for root in roots:
        send(root, signal.SIGCONT)
        send(root, signal.SIGTERM)
    if not _wait_gone(everything, grace):
        everything |= tree_of(roots, mark)
        for number in (signal.SIGCONT, signal.SIGTERM):
            for identity in everything:
                send(identity, number)
        _wait_gone(everything, grace)
    # A process may start another while it is being ended, so look again until there is nothing.
    while survivors := [identity for identity in everything | tree_of(roots, mark) if is_running(identity)]:
        for identity in survivors:
            send(identity, signal.SIGKILL)
        _wait_gone(survivors, 1.0)
    return len(everything)


def _wait_gone(identities: Iterable[ProcessIdentity], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(is_running(identity) for identity in identities):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True
