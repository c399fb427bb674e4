"""What a lab's DAGs are made from: arguments of `repx_dags`, then the `[repx]` section of Airflow's configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from airflow.sdk.configuration import conf
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.plan import Chunk, PlanOptions

__all__ = ["LabSettings", "configured_labs", "lab_settings"]

_SECTION = "repx"
_ABOUT_ONE_LAB = frozenset({"lab", "name", "flake", "out_link", "build_schedule", "schedule", "schedules"})


class PartitionCapacity(BaseModel):
    """What one partition offers; `memory` of all its nodes together, such as ``"512G"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: int = Field(ge=1)
    memory: str | None = None


class LabSettings(BaseModel):
    """One configured lab.

    `lab` is the lab's directory or the out link of its build; `name` is what it is known by in tags and assets, also
    after a rebuild. `target` names a target of RepX's `config_file` (default: this machine under `base_path`). `cpus`
    and `memory` (``"16G"``) are what its pool may use at once; absent, what this machine has. `retries` are for lost
    workers and the like: a job that exits with an error is not tried again unless `retry_failed_jobs` is set.
    `max_mapped` is the number of sweep points from which several share a task. Below it, `chunk` points do: a number,
    or ``auto``, which packs long sweeps of jobs on this machine.

    `slurm_conn_id` names an Airflow connection of type ``slurm``: jobs then run on that cluster. `partition`, `account`
    and `qos` win over the connection's; `partitions` tells capacities, as ``{"gpu": {"cpus": 64, "memory": "512G"}}``,
    and wins over what `airflow repx pools --discover` found. `start` says where Slurm jobs start from: ``triggerer``
    (also ``auto``), which is quick and keeps the pool's limit against the cluster's queue, or ``worker``, which waits
    for a slot of the Airflow pool first.

    `schedule` is for the DAG of the whole lab, `schedules` for those of single runs by name: cron expressions, presets,
    ``asset:<uri>``, ``timetable:<import path>``, or any object that Airflow takes. `on_missing` says what a run does
    about jobs that another run has not done: ``trigger`` that run, ``wait`` for whoever does it, or ``fail``. Labs that
    share a `pool_prefix` and a target share its pool.

    `flake`, a flake reference with the lab's attribute behind a ``#``, adds a DAG that builds the lab into `out_link`
    (default: `lab`), on `build_schedule` or when triggered; `private_store` and `allow_network` are for that build.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lab: Path
    name: str = Field(default="lab", max_length=96, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    target: str = "local"
    base_path: Path | None = None
    slurm_conn_id: str | None = Field(default=None, min_length=1)
    partition: str | None = Field(default=None, min_length=1)
    account: str | None = Field(default=None, min_length=1)
    qos: str | None = Field(default=None, min_length=1)
    partitions: Mapping[str, PartitionCapacity] = {}
    start: Literal["auto", "worker", "triggerer"] = "auto"
    dag_id_prefix: str = Field(default="repx_", pattern=r"^[A-Za-z0-9_.-]*$")
    config_file: Path | None = None
    resources_file: Path | None = None
    cpus: int | None = Field(default=None, ge=1)
    memory: str | None = None
    max_mapped: int = Field(default=1000, ge=1)
    chunk: Chunk = 1
    retries: int = Field(default=2, ge=0)
    retry_delay: float = Field(default=10, ge=0, description="seconds")
    retry_failed_jobs: bool = False
    poll_interval: float = Field(default=5, gt=0, description="seconds between looks at the store while waiting")
    schedule: Any = None
    schedules: Mapping[str, Any] = {}
    on_missing: Literal["trigger", "wait", "fail"] = "trigger"
    pool_prefix: str = Field(default="repx", max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    flake: str | None = None
    out_link: Path | None = None
    build_schedule: Any = None
    private_store: Path | None = None
    allow_network: bool = False
    default_args: Mapping[str, Any] = {}

    @field_validator("partitions", "schedules", "default_args", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("schedule", "build_schedule", mode="before")
    @classmethod
    def _several_assets(cls, value: Any) -> Any:
        # As configuration writes them; of any other text `schedule_of` knows what it means.
        return json.loads(value) if isinstance(value, str) and value.lstrip().startswith("[") else value

    @field_validator("lab", "base_path", "config_file", "resources_file", "out_link", "private_store")
    @classmethod
    def _without_tilde(cls, path: Path | None) -> Path | None:
        try:
            return None if path is None else path.expanduser()
        except RuntimeError as error:
            raise ValueError(str(error)) from error

    @property
    def plan_options(self) -> PlanOptions:
        """What plans of this lab's runs depend on besides lab and target."""
        return PlanOptions(max_mapped=self.max_mapped, chunk=self.chunk, resources_file=self.resources_file)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _configured(option: str) -> Any:
    value = conf.get(_SECTION, option, fallback="")
    return value if value != "" else None


def _validated(values: Mapping[str, Any], where: str) -> LabSettings:
    if values.get("lab") in (None, ""):
        raise TargetError(
            f"{where}: no lab is given. Pass lab=... to repx_dags, or set `lab` in the [repx] section of Airflow's"
            " configuration (environment variable AIRFLOW__REPX__LAB) to the lab's directory."
        )
    try:
        return LabSettings.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: "
            + ("no such setting" if fault["type"] == "extra_forbidden" else fault["msg"])
            for fault in error.errors()
        )
        known = ", ".join(LabSettings.model_fields)
        raise TargetError(f"{where}: {faults}. Known settings: {known}.") from error


def _defaults(without: frozenset[str] = frozenset()) -> dict[str, Any]:
    options = LabSettings.model_fields.keys() - without
    configured = {option: _configured(option) for option in options}
    return {option: value for option, value in configured.items() if value is not None}


def lab_settings(arguments: Mapping[str, Any], *, where: str = "repx_dags") -> LabSettings:
    """Merge arguments over the `[repx]` section.

    Raises `TargetError` that names each wrong setting and where it was given.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    return _validated(_defaults() | given, where)


def configured_labs() -> Mapping[str, LabSettings | TargetError]:
    """Every lab of the `[repx]` section by name: those of `labs`, else the one of `lab`.

    `labs` is a JSON list of objects with the arguments of `repx_dags`; each needs a `name`, and takes nothing from the
    section that is about one lab. What is wrong with one of them stands in its place. Raises `TargetError` for what
    concerns all of them.
    """
    text = _configured("labs")
    if text is None:
        alone = lab_settings({}, where="[repx]")
        return {alone.name: alone}
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise TargetError(
            f"[repx] labs: not JSON: {error}. Give a list of objects such as"
            ' [{"name": "ising", "lab": "/srv/labs/ising"}].'
        ) from error
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and _is_name(entry.get("name")) for entry in entries
    ):
        raise TargetError("[repx] labs: give a JSON list of objects, each with a `name`.")
    names = [entry["name"] for entry in entries]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise TargetError(f"[repx] labs: used more than once as `name`: {', '.join(repeated)}.")
    return {entry["name"]: _entry(entry) for entry in entries}


def _entry(entry: Mapping[str, Any]) -> LabSettings | TargetError:
    try:
        return _validated(_defaults(without=_ABOUT_ONE_LAB) | dict(entry), f"[repx] labs: {entry['name']}")
    except TargetError as error:
        return error
