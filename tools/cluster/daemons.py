"""Daemons without systemd: started in the foreground, each in a session of its own, and ended for good."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tools.airflow_local.processes import ProcessIdentity, identify, is_running, launch, send, tree_of
from tools.airflow_local.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "DAEMON_PATH",
    "MARK_VARIABLE",
    "ClusterError",
    "Daemons",
    "attempts",
    "find_program",
    "free_ports",
    "identity_of",
    "kill_all",
    "new_folder",
    "own_identity",
    "owner_of",
]

MARK_VARIABLE = "THROWAWAY_CLUSTER"
"""Set to the cluster's folder for every daemon, so that what a daemon has started is found again."""

DAEMON_PATH = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/local/sbin:/usr/sbin:/sbin"
"""Where programs are looked for: Debian keeps daemons where not every user's PATH leads."""

_OWNER = "owner"
_RECORDS = "processes"
_START_SECONDS = 60.0
_LOG_LINES_SHOWN = 20


class ClusterError(Exception):
    """A daemon did not start, or a command of the cluster failed; the message ends with the log."""


def find_program(name: str) -> str | None:
    """The full path of a program or daemon of this machine."""
    return shutil.which(name, path=DAEMON_PATH)


def new_folder(prefix: str) -> Path:
    """A new folder with a short name, readable by all users, that names its owner: the process that calls.

    Socket paths have 107 bytes, so pytest's own folders are too deep.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    folder.chmod(0o755)
    (folder / _OWNER).write_text(f"{own_identity()}\n", encoding="ascii")
    return folder


def owner_of(folder: Path) -> ProcessIdentity | None:
    """The process that made a folder with `new_folder`; `None` where that is not recorded."""
    with contextlib.suppress(OSError, ValueError):
        return identity_of((folder / _OWNER).read_text(encoding="ascii"))
    return None


def own_identity() -> str:
    """This very process, as one line of text."""
    return _line(os.getpid())


def identity_of(text: str) -> ProcessIdentity:
    """Read a process from its line of text; raises `ValueError`."""
    pid, started, boot = text.split()
    return ProcessIdentity(int(pid), int(started), boot)


def _line(pid: int) -> str:
    identity = identify(pid)
    return f"{pid} 0 gone" if identity is None else f"{pid} {identity.started_ticks} {identity.boot_id}"


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on, below those that outgoing connections get."""
    found: list[int] = []
    while len(found) < count:
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as candidate, contextlib.suppress(OSError):
            candidate.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found


def attempts(start: Callable[[], None], undo: Callable[[], None], times: int = 3) -> None:
    """Call `start` again after a failure: somebody else may have taken a port after it was found free."""
    while True:
        times -= 1
        try:
            return start()
        except ClusterError:
            undo()
            if times == 0:
                raise


class Daemons:
    """The daemons of one folder, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._commands: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "log").mkdir(exist_ok=True)

    @property
    def names(self) -> tuple[str, ...]:
        """Every daemon that was ever started here."""
        return tuple(self._commands)

    def start(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], ready: Callable[[], bool]
    ) -> None:
        """Start a daemon that stays in the foreground and wait until `ready`; raises `ClusterError`."""
        self._commands[name] = (command, environment)
        self.start_again(name)
        self.wait(f"{name} is ready", ready, alive=[name])

    def start_again(self, name: str) -> None:
        """Start a daemon as it was started before, unless it runs; does not wait."""
        if self.is_alive(name):
            return
        command, environment = self._commands[name]
        self._processes[name] = launch(
            command,
            environment={**environment, MARK_VARIABLE: str(self.folder)},
            log=self.folder / "log" / f"{name}.out",
            cwd=self.folder,
        )
        with (self.folder / _RECORDS).open("a", encoding="ascii") as records:
            records.write(f"{_line(self._processes[name].pid)}\n")

    def is_alive(self, name: str) -> bool:
        """Whether a daemon runs."""
        process = self._processes.get(name)
        return process is not None and process.poll() is None

    def process(self, name: str) -> psutil.Process:
        """A running daemon."""
        return psutil.Process(self._processes[name].pid)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a daemon; one that is not to be survived is waited for."""
        process = self._processes[name]
        process.send_signal(number)
        if number in {signal.SIGKILL, signal.SIGTERM}:
            process.wait(30)

    def wait(self, what: str, condition: Callable[[], bool], *, alive: Iterable[str] = ()) -> None:
        """Wait for a condition while the named daemons live; raises `ClusterError` with the end of their logs."""
        watched = list(alive)

        def check() -> bool:
            for name in watched:
                if not self.is_alive(name):
                    raise ClusterError(f"{name} ended before this was so: {what}\n{self.logs([name])}")
            return condition()

        try:
            wait_until(check, timeout=_START_SECONDS, what=what, interval=0.05)
        except Exception as error:
            if isinstance(error, ClusterError):
                raise
            raise ClusterError(f"{error}\n{self.logs(watched)}") from error

    def logs(self, names: Iterable[str]) -> str:
        """The last lines of the daemons' logs."""
        shown = []
        for name in names:
            for file in (self.folder / "log" / f"{name}.log", self.folder / "log" / f"{name}.out"):
                if file.exists():
                    lines = file.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
                    shown.append("\n".join([f"--- end of {file}", *lines]))
        return "\n".join(shown)

    def end_all(self) -> None:
        """Kill the daemons and all that they have started: nothing of a throwaway cluster is worth a farewell."""
        kill_all(self.folder)
        for process in self._processes.values():
            process.wait(30)


def kill_all(folder: Path) -> None:
    """Kill every process that belongs to the cluster in a folder, and what those have started."""
    while found := _recorded(folder) | _marked(folder):
        for identity in found:
            send(identity, signal.SIGKILL)
        wait_until(
            partial(_are_gone, found),
            timeout=30,
            what=f"the processes of {folder} are gone",
            interval=0.02,
        )


def _are_gone(identities: Iterable[ProcessIdentity]) -> bool:
    return not any(is_running(identity) for identity in identities)


def _recorded(folder: Path) -> set[ProcessIdentity]:
    """The living daemons by their records, with all that came from them; sshd hides its environment."""
    with contextlib.suppress(FileNotFoundError):
        lines = (folder / _RECORDS).read_text(encoding="ascii").splitlines()
        return set(tree_of(identity_of(line) for line in lines))
    return set()


def _marked(folder: Path) -> set[ProcessIdentity]:
    # A job's processes carry the cluster's own configuration in place of the mark.
    entries = {f"{MARK_VARIABLE}={folder}".encode(), f"SLURM_CONF={folder}/etc/slurm.conf".encode()}
    found: set[ProcessIdentity] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            variables = set(Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"))
            if not entries.isdisjoint(variables) and _belongs(variables, entries):
                family = [process, *process.children(recursive=True)]
                found.update(identity for one in family if (identity := identify(one.pid)) is not None)
    return {identity for identity in found if identity.pid != os.getpid()}


def _belongs(variables: set[bytes], entries: set[bytes]) -> bool:
    """A daemon has the mark; a job has the configuration and a job's id, which a mere user of the cluster lacks."""
    marked = any(entry in variables for entry in entries if entry.startswith(MARK_VARIABLE.encode()))
    return marked or any(variable.startswith(b"SLURM_JOB_ID=") for variable in variables)
