"""What this process may use of this machine: its CPUs and memory, within the limits of its control group.

Formats: Linux, *Control Group v2* (``cpu.max``, ``memory.max``) and version 1 (``cpu.cfs_quota_us``,
``cpu.cfs_period_us``, ``memory.limit_in_bytes``), and cgroups(7) for ``/proc/self/cgroup``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from airflow_provider_repx.targets.models import Capacity, Target

__all__ = ["host_capacity", "with_host_capacity"]


def host_capacity(root: Path = Path("/")) -> Capacity:
    """The CPUs this process may run on and the memory, in bytes, that it may use.

    `root` is the folder that ``proc`` and ``sys`` are found in. Not for planning, whose result has to be the same on
    every machine: whoever configures a target calls this.
    """
    cpus = _usable_cpus()
    memory = psutil.virtual_memory().total
    for quota in _cpu_quotas(root):
        cpus = min(cpus, max(1, int(quota)))
    for limit in _memory_limits(root):
        memory = min(memory, max(1, limit))
    return Capacity(cpus=cpus, memory=memory)


def with_host_capacity(target: Target) -> Target:
    """The target with what its configuration leaves open of its capacity filled in, if it is this machine.

    A configured number of CPUs is kept; the memory is then still the machine's.
    """
    if target.scheduler != "local" or target.address is not None:
        return target
    configured = target.capacity
    if configured is not None and configured.memory is not None:
        return target
    machine = host_capacity()
    cpus = machine.cpus if configured is None else configured.cpus
    return target.model_copy(update={"capacity": Capacity(cpus=cpus, memory=machine.memory)})


def _usable_cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # systems without CPU affinity, such as macOS
        return os.cpu_count() or 1


def _cpu_quotas(root: Path) -> Iterator[float]:
    for folder in _folders(root, "", "sys/fs/cgroup"):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota) / int(period)
    for folder in _folders(root, "cpu", "sys/fs/cgroup/cpu"):
        quota = _text(folder / "cpu.cfs_quota_us")
        period = _text(folder / "cpu.cfs_period_us")
        # A quota of -1 means none.
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota) / int(period)


def _memory_limits(root: Path) -> Iterator[int]:
    files = [folder / "memory.max" for folder in _folders(root, "", "sys/fs/cgroup")]
    files += [folder / "memory.limit_in_bytes" for folder in _folders(root, "memory", "sys/fs/cgroup/memory")]
    for file in files:
        limit = _text(file)
        # "max" means none; version 1 writes a number larger than any memory instead.
        if limit.isdigit():
            yield int(limit)


def _folders(root: Path, controller: str, mount: str) -> Iterator[Path]:
    """The folders of this process's control group and of all groups around it, since each of them limits it.

    `controller` is "" for version 2. Inside a container the own group is often mounted as the top, so that the path in
    ``/proc`` leads nowhere: then the top's limits are the ones that count.
    """
    top = root / mount
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            folder = top / path.lstrip("/")
            while folder != top and top in folder.parents:
                yield folder
                folder = folder.parent
            yield top


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
