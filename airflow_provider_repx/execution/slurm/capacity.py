"""What the partitions of a cluster offer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_repx.errors import SlurmError
from airflow_provider_repx.execution.slurm.commands import run_slurm
from airflow_provider_repx.execution.transport import Transport
from airflow_provider_repx.targets.models import Capacity

__all__ = ["DiscoveredPartition", "discover_partitions", "parse_partitions"]

_MIB = 2**20
_LINE = re.compile(r"(.+?)(\*?)\|(?:\d+/){3}(\d+)\|(\d+)\+?\|(\d+)")


@dataclass(frozen=True)
class DiscoveredPartition:
    """The CPUs and the memory of all nodes of a partition together, and whether it is the cluster's default one."""

    name: str
    capacity: Capacity
    is_default: bool = False


async def discover_partitions(transport: Transport, *, timeout: float = 60.0) -> dict[str, DiscoveredPartition]:
    """Ask `sinfo` once; partitions without a CPU are left out. Nodes that are down count: they come back.

    Raises `SlurmNotFoundError`, `SlurmUnavailableError`, `SlurmError` or `TransportError`.
    """
    answer = await run_slurm(transport, ["sinfo", "-h", "-a", "-o", "%P|%C|%m|%D"], timeout=timeout)
    return parse_partitions(answer)


def parse_partitions(text: str) -> dict[str, DiscoveredPartition]:
    """From lines ``partition[*]|allocated/idle/other/total CPUs|MiB of each node|number of nodes``.

    Nodes of unlike memory make several lines, or one that says ``<smallest>+``. Raises `SlurmError`.
    """
    cpus: dict[str, int] = {}
    memory: dict[str, int] = {}
    default = ""
    for line in filter(None, text.splitlines()):
        found = _LINE.fullmatch(line)
        if found is None:
            raise SlurmError(f"sinfo answered {line!r}, which cannot be read")
        name, star, count, mib, nodes = found.groups()
        default = name if star else default
        cpus[name] = cpus.get(name, 0) + int(count)
        memory[name] = memory.get(name, 0) + int(mib) * int(nodes) * _MIB
    return {
        name: DiscoveredPartition(name, Capacity(cpus=count, memory=memory[name] or None), name == default)
        for name, count in cpus.items()
        if count > 0
    }
