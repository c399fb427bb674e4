"""A cluster under Slurm, as an Airflow connection describes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TypeVar

from airflow.sdk import BaseHook

from airflow_provider_repx.errors import (
    HostKeyError,
    RepxError,
    SlurmError,
    SlurmNotFoundError,
    TargetError,
    TransportError,
)
from airflow_provider_repx.execution.slurm import DiscoveredPartition, discover_partitions
from airflow_provider_repx.execution.transport import Transport
from airflow_provider_repx.hooks.reaching import connector
from airflow_provider_repx.hooks.slurm_connection import CONNECTION_TYPE, SlurmConnection, read_connection
from airflow_provider_repx.targets import Target

__all__ = ["SlurmHook"]

_TIMEOUT_SECONDS = 30.0
_Answer = TypeVar("_Answer")

# Writing is tried rather than looked up: quotas and access lists are in no permission bit.
_TRY_TO_WRITE = 'mkdir -p -- "$1" && probe=$(mktemp -- "$1/.repx-probe-XXXXXXXX") && echo x >"$probe" && rm -- "$probe"'


class SlurmHook(BaseHook):
    """Reaches the cluster of a connection of type `slurm`, locally or through the `ssh` connection that it names.

    Jobs are run by `SlurmOperator`; this is for questions.

    Args:
        slurm_conn_id: The connection.
        logger_name: The name of the logger, as for every hook.

    """

    conn_name_attr = "slurm_conn_id"
    default_conn_name = "slurm_default"
    conn_type = CONNECTION_TYPE
    hook_name = "Slurm"

    def __init__(self, slurm_conn_id: str = default_conn_name, *, logger_name: str | None = None) -> None:
        super().__init__(logger_name=logger_name)
        self.slurm_conn_id = slurm_conn_id

    @cached_property
    def settings(self) -> SlurmConnection:
        """What the connection says; raises `TargetError`."""
        return read_connection(self.slurm_conn_id)

    @property
    def target(self) -> Target:
        """The target that the connection describes; raises `TargetError`."""
        return self.settings.target(self.slurm_conn_id)

    def get_conn(self) -> Transport:
        """A way to the machine that has Slurm's commands; for one event loop, and to be closed after use."""
        return connector(self.target).open()

    def partitions(self) -> dict[str, DiscoveredPartition]:
        """What the cluster's partitions offer, by one call of `sinfo`.

        Raises `SlurmNotFoundError`, `SlurmUnavailableError`, `TransportError` or `TargetError`.
        """
        return self._ask(lambda transport: discover_partitions(transport, timeout=_TIMEOUT_SECONDS))

    def test_connection(self) -> tuple[bool, str]:
        """Whether jobs can be run, and what is wrong otherwise: for the button in Airflow's connection form."""
        try:
            partitions = self._ask(self._check)
        except HostKeyError as error:
            return False, f"Host key: {error}"
        except TransportError as error:
            return False, f"Not reachable: {error}"
        except SlurmNotFoundError as error:
            return False, f"No Slurm: {error}"
        except RepxError as error:
            return False, str(error)
        default = next((found.name for found in partitions.values() if found.is_default), None)
        names = ", ".join(sorted(partitions))
        return True, f"Slurm answers; partitions: {names}; default: {default or 'none'}."

    async def _check(self, transport: Transport) -> dict[str, DiscoveredPartition]:
        found = await transport.run(["sbatch", "--version"], timeout=_TIMEOUT_SECONDS)
        if found.exit_code:
            raise SlurmNotFoundError(
                f"sbatch cannot be run on {transport.description}: {found.stderr.decode(errors='replace').strip()}."
                " Use a machine that has Slurm's commands on the PATH of a login without a terminal."
            )
        partitions = await discover_partitions(transport, timeout=_TIMEOUT_SECONDS)
        wanted = self.settings.partition
        # A job may name several, separated by commas, and takes the first that is free.
        if unknown := [name for name in (wanted or "").split(",") if name and name not in partitions]:
            raise SlurmError(
                f"Partition: the cluster has none called {', '.join(unknown)}; it has: {', '.join(sorted(partitions))}."
            )
        base_path = self.target.base_path
        tried = await transport.run(["bash", "-c", _TRY_TO_WRITE, "probe", str(base_path)], timeout=_TIMEOUT_SECONDS)
        if tried.exit_code:
            raise TargetError(
                f"Base path: {base_path} on {transport.description} cannot be written:"
                f" {tried.stderr.decode(errors='replace').strip()}."
            )
        return partitions

    def _ask(self, question: Callable[[Transport], Awaitable[_Answer]]) -> _Answer:
        # Connections are looked up here: inside of an event loop that would block it.
        transport = self.get_conn()

        async def ask() -> _Answer:
            try:
                return await question(transport)
            finally:
                await transport.close()

        return asyncio.run(ask())
