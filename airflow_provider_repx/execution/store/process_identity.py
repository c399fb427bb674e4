"""Which process, on which machine, since which boot: enough to say later whether it is still there."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["ProcessIdentity"]


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, told apart from any other that has or had the same number.

    `machine_id` is systemd's (empty where there is none, as in many containers), `boot_id` the kernel's, new at each
    boot; `start_ticks` is when the process started, in clock ticks since boot (``proc(5)``, field 22 of ``stat``).
    """

    host: str
    machine_id: str
    boot_id: str
    pid: int
    start_ticks: int

    @classmethod
    def current(cls) -> ProcessIdentity:
        """This process."""
        pid = os.getpid()
        return cls(socket.gethostname(), _machine_id(), _boot_id(), pid, _start_ticks(pid) or 0)

    @property
    def same_kernel(self) -> bool:
        """Whether it ran under the kernel that runs now, since this boot; containers share their host's kernel."""
        return bool(self.boot_id) and self.boot_id == _boot_id()

    @property
    def same_machine(self) -> bool:
        """Whether it ran on this machine, now or before a reboot.

        Host name and machine id must both agree: cloned machines share the one, machines of a pool the other.
        """
        return self.same_kernel or (self.host == socket.gethostname() and self.machine_id == _machine_id())

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs. False also for a process that this one cannot see (another container)."""
        return self.same_kernel and self.start_ticks != 0 and _start_ticks(self.pid) == self.start_ticks

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@cache
def _boot_id() -> str:
    return _read("/proc/sys/kernel/random/boot_id")


@cache
def _machine_id() -> str:
    return _read("/etc/machine-id")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _start_ticks(pid: int) -> int | None:
    """When a process started; `None` for one that is gone, or that has ended and was not collected (a zombie)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().decode("utf-8", "replace")
    except OSError:
        return None
    # The command's name stands in parentheses and may hold anything, so the fields are counted from its end.
    state, *fields = text.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else int(fields[18])
