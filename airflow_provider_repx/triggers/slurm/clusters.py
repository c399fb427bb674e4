"""From a target to the cluster object, and the one connection, that serve all triggers of this process."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_repx.execution.slurm import PoolShare, SlurmCluster, SlurmSettings, get_cluster
from airflow_provider_repx.execution.transport import Transport
from airflow_provider_repx.hooks.reaching import Connector, aconnector
from airflow_provider_repx.plan import PlannedPart, PlannedStage, pool_limit
from airflow_provider_repx.targets import Resources, Target
from airflow_provider_repx.triggers.slurm.orphans import watch_for_orphans

__all__ = ["apart", "cluster_of", "cluster_settings", "share_of", "transport_of"]

_Result = TypeVar("_Result")
_Watch: TypeAlias = tuple[SlurmCluster, asyncio.Task[None]]

_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[SlurmSettings, str], _Watch]] = WeakKeyDictionary()
_transports: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Transport]] = WeakKeyDictionary()


async def transport_of(target: Target) -> Transport:
    """The way to a target's machine that everybody in this event loop shares; raises `TargetError`."""
    return _shared(await aconnector(target))


async def cluster_of(target: Target) -> SlurmCluster:
    """The cluster of a target; raises `TargetError` where a connection is missing or wrong.

    From its first use on, jobs of tasks that have ended without anybody telling are looked for.
    """
    way = await aconnector(target)
    settings = cluster_settings(target)
    cluster = get_cluster(settings, way.key, lambda: _shared(way))
    watches = _watches.setdefault(asyncio.get_running_loop(), {})
    watched, watch = watches.get((settings, way.name), (None, None))
    if watched is not cluster:
        if watch is not None:
            # Its connection was changed: nobody logs in with the old one any more, once those who wait are done.
            watch.cancel()
        watch = apart(watch_for_orphans(cluster, cluster.transport, target.base_path))
        watches[settings, way.name] = cluster, watch
    return cluster


def apart(work: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
    """Run something that does not belong to the trigger that happens to start it.

    Airflow tells by context variables whose log a line goes to. What is done for many must not be told in the log of
    the one that came first.
    """
    return contextvars.Context().run(asyncio.ensure_future, work)


def cluster_settings(target: Target) -> SlurmSettings:
    """How a target's cluster is used."""
    defaults = target.slurm
    if defaults.poll_interval is None:
        return SlurmSettings(base_path=target.base_path, umask=defaults.umask)
    return SlurmSettings(
        base_path=target.base_path,
        umask=defaults.umask,
        first_poll=min(SlurmSettings.first_poll, defaults.poll_interval),
        last_poll=defaults.poll_interval,
    )


def share_of(planned: PlannedStage | PlannedPart, resources: Resources, target: Target) -> PoolShare | None:
    """What one job of a stage, or part of it, takes of its pool; `None` where the pool's size is not known."""
    size = pool_limit(target, resources.partition)
    return None if size is None else PoolShare(pool=planned.pool, size=size, slots=min(planned.slots, size))


def _shared(way: Connector) -> Transport:
    known = _transports.setdefault(asyncio.get_running_loop(), {})
    if way.key not in known:
        known[way.key] = way.open()
    return known[way.key]
