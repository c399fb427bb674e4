"""Which target a lab's settings mean."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.lab.units import parse_memory
from airflow_provider_repx.targets import (
    Target,
    default_config_path,
    load_targets,
    local_target,
    with_host_capacity,
)

__all__ = ["target_of"]


def target_of(settings: LabSettings) -> Target:
    """The target to plan for and to run on, with its capacity.

    `base_path` in the settings wins over RepX's config.toml, which is read only where it is needed. Raises
    `TargetError` that says what to set.
    """
    if settings.target == "local" and settings.base_path is not None and settings.config_file is None:
        target = local_target(_absolute(settings.base_path))
    else:
        target = _from_config(settings)
        if settings.base_path is not None:
            target = target.model_copy(update={"base_path": _absolute(settings.base_path)})
    return _with_settings(with_host_capacity(target), settings)


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise TargetError(f"base_path: {path} is relative; give an absolute path.")
    return path


def _from_config(settings: LabSettings) -> Target:
    config = settings.config_file or default_config_path()
    if not config.is_file():
        if settings.target != "local":
            raise TargetError(
                f"lab {settings.name!r}: target {settings.target!r} is not known: there is no {config}. Describe the"
                " target there, or leave `target` out to run jobs on this machine."
            )
        raise TargetError(
            f"lab {settings.name!r}: where should jobs run? Set `base_path` in the [repx] section of Airflow's"
            f" configuration (AIRFLOW__REPX__BASE_PATH), or describe target {settings.target!r} in {config}."
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
