"""Where jobs run, as data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Capacity", "ExecutionType", "Scheduler", "Target"]

Scheduler: TypeAlias = Literal["local", "slurm"]
ExecutionType: TypeAlias = Literal["native", "bwrap", "podman", "docker"]


class _Setting(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Capacity(_Setting):
    """What a pool of a target offers: CPUs, and memory in bytes where it is known."""

    cpus: int = Field(ge=1)
    memory: int | None = Field(default=None, ge=1)


class Target(_Setting):
    """Where jobs run: a base path that holds the output store, and the scheduler that starts jobs there.

    `base_path` is absolute. `address` is an SSH destination; absent means this machine. `capacity` is given by whoever
    configures the target, so that planning never has to ask a cluster: for `local`, of the machine; for Slurm, by
    partition under `partitions`.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    base_path: Path
    scheduler: Scheduler = "local"
    execution_type: ExecutionType = "native"
    address: str | None = None
    node_local_path: Path | None = None
    mount_host_paths: bool = False
    mount_paths: tuple[Path, ...] = ()
    capacity: Capacity | None = None
    partitions: dict[str, Capacity] = {}
