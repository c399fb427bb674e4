"""`airflow repx pools`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Iterable
from contextlib import suppress

from airflow.models.variable import Variable

from airflow_provider_repx.cli.catalog import labs_of_dags
from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.tables import print_json
from airflow_provider_repx.errors import RepxError, TargetError
from airflow_provider_repx.execution.slurm import DiscoveredPartition, discover_partitions
from airflow_provider_repx.factory.settings import LabSettings, configured_labs
from airflow_provider_repx.factory.target import target_of
from airflow_provider_repx.hooks.capacities import VARIABLE, ClusterCapacity, dump_capacities, parse_capacities
from airflow_provider_repx.hooks.reaching import connector
from airflow_provider_repx.listeners import known_pools
from airflow_provider_repx.pools import ensure_pools, planned_changes
from airflow_provider_repx.targets import Target

__all__ = ["pools"]


@command
def pools(arguments: argparse.Namespace) -> int:
    """Print what the pools need, or do it; with `discover`, ask the clusters first."""
    # What is said about clusters is for people, and programs read stdout.
    with contextlib.redirect_stdout(sys.stderr) if arguments.output == "json" else contextlib.nullcontext():
        code = _discover(apply=arguments.apply) if arguments.discover else 0
    wanted = list(known_pools())
    changes = ensure_pools(wanted) if arguments.apply else planned_changes(wanted)
    if arguments.output == "json":
        found = [{"pool": plan.name, "slots": plan.slots, "description": plan.description} for plan in wanted]
        print_json({"pools": found, "changes": changes, "applied": arguments.apply})
        return code
    for plan in wanted:
        print(f"{plan.name}: {plan.slots} slots ({plan.description})")
    verb = "done" if arguments.apply else "to do (run with --apply)"
    for change in changes:
        print(f"{verb}: {change}")
    if not changes:
        print("Nothing to do." if wanted else "No DAG of a RepX lab is known to Airflow yet.")
    return code


def _discover(*, apply: bool) -> int:
    """Ask every cluster what it offers, and store it where planning finds it; 1 if one could not be asked."""
    targets = _clusters()
    if not targets:
        print("No configured lab runs on Slurm: there is no cluster to ask.")
        return 0
    known = parse_capacities(Variable.get(VARIABLE, default_var=None))
    found = dict(known)
    failed = 0
    for target in targets:
        try:
            found[target.name] = _ask(target)
        except RepxError as error:
            failed += 1
            print(f"[ERROR] target {target.name}: {error}")
            continue
        for name, capacity in sorted(found[target.name].partitions.items()):
            memory = "" if capacity.memory is None else f", {capacity.memory / 2**30:.0f} GiB of memory"
            default = " (default)" if name == found[target.name].default else ""
            print(f"target {target.name}: partition {name}{default}: {capacity.cpus} CPUs{memory}")
    if found == known:
        print("The stored capacities are up to date.")
    elif apply:
        Variable.set(VARIABLE, dump_capacities(found), description="What RepX's Slurm targets offer")
        print(f"done: stored in the Variable {VARIABLE}. Pools follow when the DAG files are read again.")
    else:
        print(f"to do (run with --apply): store this in the Variable {VARIABLE}")
    return 1 if failed else 0


def _clusters() -> list[Target]:
    """The Slurm targets of all labs, those of the configuration and those that DAGs were made from."""
    labs: dict[str, LabSettings] = dict(labs_of_dags())
    # Where nothing is configured in the [repx] section, DAG files may configure labs by themselves.
    with suppress(TargetError):
        labs |= {name: lab for name, lab in configured_labs().items() if isinstance(lab, LabSettings)}
    return list({target.name: target for target in _targets(labs.values()) if target.scheduler == "slurm"}.values())


def _targets(labs: Iterable[LabSettings]) -> Iterable[Target]:
    for lab in labs:
        try:
            yield target_of(lab)
        except TargetError as error:  # noqa: PERF203 - one broken lab leaves the others alone
            print(f"[ERROR] lab {lab.name}: {error}")


def _ask(target: Target) -> ClusterCapacity:
    transport = connector(target).open()

    async def ask() -> dict[str, DiscoveredPartition]:
        try:
            return await discover_partitions(transport)
        finally:
            await transport.close()

    partitions = asyncio.run(ask())
    return ClusterCapacity(
        default=next((name for name, found in partitions.items() if found.is_default), None),
        partitions={name: found.capacity for name, found in partitions.items()},
    )
