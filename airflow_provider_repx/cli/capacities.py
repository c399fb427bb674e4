"""What the clusters of all labs offer, asked once and stored where planning finds it. Needs Airflow's database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from airflow.models.variable import Variable

from airflow_provider_repx.cli.catalog import labs_of_dags
from airflow_provider_repx.cli.there import Session
from airflow_provider_repx.errors import RepxError, TargetError
from airflow_provider_repx.execution.slurm import discover_partitions
from airflow_provider_repx.factory.settings import LabSettings, configured_labs
from airflow_provider_repx.factory.target import target_of
from airflow_provider_repx.hooks.capacities import VARIABLE, ClusterCapacity, dump_capacities, parse_capacities
from airflow_provider_repx.targets import Target

__all__ = ["Discovery", "discover", "store_capacities"]

_GIB = 2**30


@dataclass(frozen=True)
class Discovery:
    """What clusters have answered, by target, what kept others from it, and what was known before."""

    found: Mapping[str, ClusterCapacity] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    known: Mapping[str, ClusterCapacity] = field(default_factory=dict)

    @property
    def is_news(self) -> bool:
        """Whether any of it is not stored yet."""
        return any(self.known.get(target) != capacity for target, capacity in self.found.items())

    def to_json(self) -> list[dict[str, object]]:
        """One object per partition; memory in bytes."""
        return [
            {
                "target": target,
                "partition": name,
                "default": name == cluster.default,
                "cpus": capacity.cpus,
                "memory": capacity.memory,
            }
            for target, cluster in self.found.items()
            for name, capacity in sorted(cluster.partitions.items())
        ]

    def lines(self) -> Iterator[str]:
        """The same for people."""
        for target, cluster in self.found.items():
            for name, capacity in sorted(cluster.partitions.items()):
                memory = "" if capacity.memory is None else f", {capacity.memory / _GIB:.0f} GiB of memory"
                default = " (default)" if name == cluster.default else ""
                yield f"target {target}: partition {name}{default}: {capacity.cpus} CPUs{memory}"


def discover() -> Discovery:
    """Ask the Slurm cluster of every lab; what is wrong with one leaves the others alone."""
    problems: list[str] = []
    found = {}
    for target in _clusters(problems):
        try:
            found[target.name] = _ask(target)
        except RepxError as error:  # noqa: PERF203 - each cluster has its own outcome
            problems.append(f"target {target.name}: {error}")
    return Discovery(found, tuple(problems), parse_capacities(Variable.get(VARIABLE, default_var=None)))


def store_capacities(discovery: Discovery) -> None:
    """Store what was found beside what is known of other targets."""
    capacities = {**discovery.known, **discovery.found}
    Variable.set(VARIABLE, dump_capacities(capacities), description="What RepX's Slurm targets offer")


def _clusters(problems: list[str]) -> list[Target]:
    """The Slurm targets of all labs, those of the configuration and those that DAGs were made from."""
    labs: dict[str, LabSettings] = dict(labs_of_dags())
    # Where nothing is configured in the [repx] section, DAG files may configure labs by themselves.
    with suppress(TargetError):
        for name, lab in configured_labs().items():
            if isinstance(lab, LabSettings):
                labs[name] = lab
            else:
                problems.append(f"lab {name}: {lab}")
    targets = {}
    for name, lab in labs.items():
        try:
            target = target_of(lab)
        except TargetError as error:
            problems.append(f"lab {name}: {error}")
            continue
        if target.scheduler == "slurm":
            targets[target.name] = target
    return list(targets.values())


def _ask(target: Target) -> ClusterCapacity:
    with Session(target) as session:
        partitions = session.wait(discover_partitions(session.transport))
    return ClusterCapacity(
        default=next((name for name, found in partitions.items() if found.is_default), None),
        partitions={name: found.capacity for name, found in partitions.items()},
    )
