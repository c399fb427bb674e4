"""Where jobs run, as data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Capacity", "ExecutionType", "Scheduler", "SlurmDefaults", "Target"]

Scheduler: TypeAlias = Literal["local", "slurm"]
ExecutionType: TypeAlias = Literal["native", "bwrap", "podman", "docker"]


class _Setting(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Capacity(_Setting):
    """What a pool of a target offers: CPUs, and memory in bytes where it is known."""

    cpus: int = Field(ge=1)
    memory: int | None = Field(default=None, ge=1)


class SlurmDefaults(_Setting):
    """What a target's jobs get from Slurm where their own hints and rules say nothing.

    `umask` is octal, such as ``"0007"`` for a store that a group shares; `poll_interval` is in seconds. `job_url` and
    `file_url` are addresses of the cluster's own web pages, with ``{job}`` and ``{path}`` for the Slurm job and a file.
    """

    partition: str | None = Field(default=None, min_length=1)
    account: str | None = Field(default=None, min_length=1)
    qos: str | None = Field(default=None, min_length=1)
    umask: str | None = Field(default=None, pattern=r"^0?[0-7]{3}$")
    poll_interval: float | None = Field(default=None, gt=0)
    job_url: str | None = Field(default=None, pattern=r"^https?://")
    file_url: str | None = Field(default=None, pattern=r"^https?://")


class Target(_Setting):
    """Where jobs run: a base path that holds the output store, and the scheduler that starts jobs there.

    `base_path` is absolute. `address` is an SSH destination (``[user@]host[:port]``), `ssh_connection` the id of an
    Airflow connection of type ``ssh``, which wins over it; without either the target is this machine. `connection` is
    the id of the Airflow connection of type ``slurm`` that the target was made from, if it was. `capacity` is given by
    whoever configures the target, so that planning never has to ask a cluster: for `local`, of the machine; for Slurm,
    that of its default partition, and those of the others by name under `partitions`. The names of its pools begin
    with `pool_prefix`.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    base_path: Path
    scheduler: Scheduler = "local"
    execution_type: ExecutionType = "native"
    address: str | None = None
    connection: str | None = Field(default=None, min_length=1)
    ssh_connection: str | None = Field(default=None, min_length=1)
    slurm: SlurmDefaults = SlurmDefaults()
    node_local_path: Path | None = None
    mount_host_paths: bool = False
    mount_paths: tuple[Path, ...] = ()
    capacity: Capacity | None = None
    partitions: dict[str, Capacity] = {}
    pool_prefix: str = "repx"

    @property
    def is_remote(self) -> bool:
        """Whether commands for it go through SSH."""
        return self.address is not None or self.ssh_connection is not None
