"""What clusters offer, as ``airflow repx pools --discover`` has stored it: one Airflow Variable for all targets.

A Variable is the one place that every process of an Airflow installation can read, parsing included, without asking a
cluster; it is read once per parse, and only where a target uses Slurm. Its content, with memory in bytes::

    {"<target>": {"default": "main", "partitions": {"main": {"cpus": 64, "memory": 274877906944}}}}
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowRuntimeError
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.targets import Capacity, Target

__all__ = ["VARIABLE", "ClusterCapacity", "dump_capacities", "parse_capacities", "stored_capacities", "with_capacity"]

VARIABLE = "repx_capacities"


class ClusterCapacity(BaseModel):
    """The partitions of one cluster, and the name of that which jobs go to that name none."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    default: str | None = None
    partitions: Mapping[str, Capacity] = {}


_CONTENT: TypeAdapter[dict[str, ClusterCapacity]] = TypeAdapter(dict[str, ClusterCapacity])


def parse_capacities(text: str | None) -> dict[str, ClusterCapacity]:
    """The Variable's content by target; raises `TargetError` when somebody has broken it."""
    if text is None or not text.strip():
        return {}
    try:
        return _CONTENT.validate_json(text)
    except ValidationError as error:
        raise TargetError(
            f"Variable {VARIABLE!r} is not what `airflow repx pools --discover` writes: {error.errors()[0]['msg']}."
            " Delete it and run that command again."
        ) from error


def dump_capacities(capacities: Mapping[str, ClusterCapacity]) -> str:
    """The opposite of `parse_capacities`; the same content gives the same text."""
    return _CONTENT.dump_json(dict(sorted(capacities.items())), exclude_none=True).decode()


def stored_capacities() -> dict[str, ClusterCapacity]:
    """What the Variable says, from wherever Airflow's variables come from."""
    try:
        text = Variable.get(VARIABLE, default=None)
    except AirflowRuntimeError as error:
        raise TargetError(f"Variable {VARIABLE!r} cannot be read: {error}") from error
    return parse_capacities(text)


def with_capacity(target: Target, found: ClusterCapacity | None) -> Target:
    """The target with what was discovered; what is configured for it stays."""
    if found is None:
        return target
    partitions = {**found.partitions, **target.partitions}
    default = target.slurm.partition or found.default
    capacity = target.capacity or (partitions.get(default) if default is not None else None)
    return target.model_copy(update={"partitions": partitions, "capacity": capacity})
