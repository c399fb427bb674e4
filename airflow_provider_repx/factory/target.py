"""Which target a lab's settings mean."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.hooks.capacities import stored_capacities, with_capacity
from airflow_provider_repx.hooks.slurm_connection import read_connection, target_name
from airflow_provider_repx.lab.units import parse_memory
from airflow_provider_repx.targets import (
    Capacity,
    SlurmDefaults,
    Target,
    default_config_path,
    load_targets,
    local_target,
    with_host_capacity,
)

__all__ = ["target_of"]

_MACHINE = "local"


def target_of(settings: LabSettings) -> Target:
    """The target to plan for and to run on, with its capacity and the prefix of its pools.

    What the settings say wins over the connection, which wins over RepX's config.toml; each is read only where it is
    needed. Raises `TargetError` that says what to set.
    """
    return _described(settings).model_copy(update={"pool_prefix": settings.pool_prefix})


def _described(settings: LabSettings) -> Target:
    if settings.slurm_conn_id is not None:
        return _with_cluster(_from_connection(settings, settings.slurm_conn_id), settings)
    if settings.target == _MACHINE and settings.base_path is not None and settings.config_file is None:
        target = local_target(_absolute(settings.base_path))
    else:
        target = _from_config(settings)
        if settings.base_path is not None:
            target = target.model_copy(update={"base_path": _absolute(settings.base_path)})
    if target.scheduler == "slurm":
        return _with_cluster(target, settings)
    return _with_settings(with_host_capacity(target), settings)


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise TargetError(f"base_path: {path} is relative; give an absolute path.")
    return path


def _from_connection(settings: LabSettings, conn_id: str) -> Target:
    """The cluster of a connection; `target` may name a table of config.toml that fills what the connection lacks."""
    found = read_connection(conn_id)
    described = None if settings.target == _MACHINE else _from_config(settings)
    base_path = settings.base_path or found.base_path or (described.base_path if described is not None else None)
    target = found.model_copy(update={"base_path": None if base_path is None else _absolute(base_path)}).target(conn_id)
    if described is None:
        return target.model_copy(update={"name": target_name(conn_id)})
    kept = {"name": described.name, "execution_type": described.execution_type}
    return target.model_copy(update=kept)


def _from_config(settings: LabSettings) -> Target:
    config = settings.config_file or default_config_path()
    if not config.is_file():
        if settings.target != _MACHINE:
            raise TargetError(
                f"lab {settings.name!r}: target {settings.target!r} is not known: there is no {config}. Describe the"
                " target there, or leave `target` out to run jobs on this machine, or set `slurm_conn_id`."
            )
        raise TargetError(
            f"lab {settings.name!r}: where should jobs run? Set `base_path` in the [repx] section of Airflow's"
            f" configuration (AIRFLOW__REPX__BASE_PATH), or describe target {settings.target!r} in {config}, or set"
            " `slurm_conn_id`."
        )
    targets = load_targets(config)
    if settings.target not in targets:
        raise TargetError(f"{config}: no target {settings.target!r}; it has: {', '.join(sorted(targets))}.")
    return targets[settings.target]


def _with_settings(target: Target, settings: LabSettings) -> Target:
    given = {"cpus": settings.cpus, "memory": parse_memory(settings.memory) if settings.memory else None}
    update = {name: value for name, value in given.items() if value is not None}
    if target.capacity is None or not update:
        return target
    return target.model_copy(update={"capacity": target.capacity.model_copy(update=update)})


def _with_cluster(target: Target, settings: LabSettings) -> Target:
    """The target with what the settings say about Slurm, and what is known of the cluster's capacity."""
    given = {"partition": settings.partition, "account": settings.account, "qos": settings.qos}
    chosen = {name: value for name, value in given.items() if value is not None}
    defaults = SlurmDefaults.model_validate(target.slurm.model_dump() | chosen)
    partitions = {
        name: Capacity(cpus=told.cpus, memory=parse_memory(told.memory) if told.memory else None)
        for name, told in settings.partitions.items()
    }
    target = target.model_copy(update={"slurm": defaults, "partitions": {**target.partitions, **partitions}})
    return with_capacity(target, stored_capacities().get(target.name))
