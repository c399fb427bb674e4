"""RepX's `config.toml`: the targets that the user's RepX knows.

The file lies at ``$XDG_CONFIG_HOME/repx/config.toml``, then in the folders of ``$XDG_CONFIG_DIRS``; only the first one
found counts. It is never written here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.targets.models import Capacity, ExecutionType, Scheduler, Target
from airflow_provider_repx.targets.toml_file import nearest, read_toml, validated

__all__ = ["Configuration", "default_config_path", "load_configuration", "load_targets", "local_target"]

_ArtifactStore: TypeAlias = Literal["shared", "node-local"]


@dataclass(frozen=True)
class Configuration:
    """What `config.toml` says: the targets by name, and the one that is used when none is named."""

    targets: Mapping[str, Target]
    submission_target: str | None = None


def default_config_path() -> Path:
    """Where RepX's `config.toml` is; where it would be if there is none."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    others = [Path(folder) for folder in (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if folder]
    candidates = [folder / "repx" / "config.toml" for folder in (home, *others)]
    return next((path for path in candidates if path.is_file()), candidates[0])


def load_targets(path: Path) -> Mapping[str, Target]:
    """The targets of a `config.toml`, by name. Raises `TargetError` that names file and key."""
    return load_configuration(path).targets


def load_configuration(path: Path) -> Configuration:
    """Read a `config.toml`.

    Raises `TargetError` that names file and key: for unknown keys, for values of a wrong type, where there is no target
    ``local``, and where another target has no address.
    """
    file = validated(_ConfigFile, read_toml(path), str(path))
    if "local" not in file.targets:
        raise TargetError(f"{path}: targets.local: is required. Add [targets.local] with a base_path.")
    if file.submission_target is not None and file.submission_target not in file.targets:
        raise TargetError(
            f"{path}: submission_target: there is no target {file.submission_target!r}. "
            f"{nearest(file.submission_target, list(file.targets))}"
        )
    targets = {name: _target(name, file, f"{path}: targets.{name}") for name in sorted(file.targets)}
    return Configuration(targets, file.submission_target)


def local_target(base_path: Path | str) -> Target:
    """The target ``local``: this machine, natively, its output store in ``<base_path>/outputs``, capacity unknown."""
    return Target(name="local", base_path=Path(base_path).expanduser().absolute())


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Logging(_Table):
    max_files: StrictInt = 50
    max_age_days: StrictInt = 7


class _SchedulerTable(_Table):
    execution_types: tuple[ExecutionType, ...] = ()
    local_concurrency: StrictInt | None = Field(default=None, ge=1)


class _TargetTable(_Table):
    base_path: StrictStr
    address: StrictStr | None = Field(default=None, min_length=1)
    node_local_path: StrictStr | None = None
    default_scheduler: Scheduler | None = None
    default_execution_type: ExecutionType | None = None
    artifact_store: _ArtifactStore = "shared"
    mount_host_paths: StrictBool = False
    mount_paths: tuple[StrictStr, ...] = ()
    local: _SchedulerTable | None = None
    slurm: _SchedulerTable | None = None


class _ConfigFile(_Table):
    theme: StrictStr | None = None
    submission_target: StrictStr | None = None
    default_scheduler: Scheduler | None = None
    logging: _Logging = _Logging()
    targets: Mapping[StrictStr, _TargetTable] = {}


def _target(name: str, file: _ConfigFile, where: str) -> Target:
    table = file.targets[name]
    if name == "local" and table.address is not None:
        raise TargetError(
            f"{where}.address: the target local is this machine. Remove the address, or rename the target."
        )
    if name != "local" and table.address is None:
        raise TargetError(f"{where}.address: is required for every target but local. Add it.")
    if table.artifact_store == "node-local" and table.node_local_path is None:
        raise TargetError(f"{where}.node_local_path: is required with artifact_store node-local. Add it.")
    # RepX submits to Slurm unless told otherwise.
    scheduler = table.default_scheduler or file.default_scheduler or "slurm"
    section = table.local if scheduler == "local" else table.slurm
    concurrency = section.local_concurrency if section is not None and scheduler == "local" else None
    try:
        return Target(
            name=name,
            base_path=_folder(table.base_path, f"{where}.base_path"),
            scheduler=scheduler,
            execution_type=_execution_type(table, section),
            address=table.address,
            node_local_path=(
                None if table.node_local_path is None else _folder(table.node_local_path, f"{where}.node_local_path")
            ),
            mount_host_paths=table.mount_host_paths,
            mount_paths=tuple(map(Path, table.mount_paths)),
            capacity=None if concurrency is None else Capacity(cpus=concurrency),
        )
    except ValidationError:
        # Every value but the name has been checked by the table's own model.
        raise TargetError(f"{where}: a target's name has letters, digits, dots, dashes and underscores only.") from None


def _execution_type(table: _TargetTable, section: _SchedulerTable | None) -> ExecutionType:
    """As RepX chooses: the default if the scheduler's table lists it, else the first listed.

    Where nothing is listed the default stays. RepX runs natively then, without a word; here, whoever asks for a
    container gets it or an error.
    """
    listed = section.execution_types if section is not None else ()
    if table.default_execution_type in listed:
        return table.default_execution_type
    return listed[0] if listed else table.default_execution_type or "native"


def _folder(written: str, where: str) -> Path:
    try:
        path = Path(written).expanduser()
    except RuntimeError as error:
        raise TargetError(f"{where}: {written}: {error}. Write the folder out.") from error
    if not path.is_absolute():
        raise TargetError(f"{where}: {written} is not absolute. Begin it with / or ~.")
    return path
