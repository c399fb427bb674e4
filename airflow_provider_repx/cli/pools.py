"""`airflow repx pools`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_provider_repx.cli.capacities import Discovery, discover, store_capacities
from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.tables import clean, one_line, print_json
from airflow_provider_repx.hooks.capacities import VARIABLE
from airflow_provider_repx.listeners import known_pools
from airflow_provider_repx.plan import PoolPlan
from airflow_provider_repx.pools import ensure_pools, planned_changes

__all__ = ["pools"]


@command
def pools(arguments: argparse.Namespace) -> int:
    """Print what the pools need, or do it; with `discover`, ask the clusters first. 1 if one could not be asked."""
    discovery = discover() if arguments.discover else Discovery()
    for problem in discovery.problems:
        print(f"[ERROR] {one_line(problem)}", file=sys.stderr)
    if arguments.apply and discovery.is_news:
        store_capacities(discovery)
    wanted = list(known_pools())
    changes = ensure_pools(wanted) if arguments.apply else planned_changes(wanted)
    if arguments.output == "json":
        _print_json(discovery, wanted, changes, applied=arguments.apply)
    else:
        if arguments.discover:
            _print_discovery(discovery, applied=arguments.apply)
        _print_pools(wanted, changes, applied=arguments.apply)
    return 1 if discovery.problems else 0


def _print_json(discovery: Discovery, wanted: Sequence[PoolPlan], changes: Sequence[str], *, applied: bool) -> None:
    print_json(
        {
            "pools": [{"pool": plan.name, "slots": plan.slots, "description": plan.description} for plan in wanted],
            "changes": list(changes),
            "applied": applied,
            "discovered": discovery.to_json(),
            "failed": list(discovery.problems),
        }
    )


def _print_discovery(discovery: Discovery, *, applied: bool) -> None:
    for line in discovery.lines():
        print(clean(line))
    if not discovery.found:
        if not discovery.problems:
            print("No lab that is known here runs on Slurm: there is no cluster to ask.")
    elif not discovery.is_news:
        print("The stored capacities are up to date.")
    elif applied:
        print(f"done: stored in the Variable {VARIABLE}. Pools follow when the DAG files are read again.")
    else:
        print(f"to do (run with --apply): store this in the Variable {VARIABLE}")


def _print_pools(wanted: Sequence[PoolPlan], changes: Sequence[str], *, applied: bool) -> None:
    for plan in wanted:
        size = "size not known" if plan.slots is None else f"{plan.slots} slots"
        print(f"{plan.name}: {size} ({clean(plan.description)})")
    verb = "done" if applied else "to do (run with --apply)"
    for change in changes:
        print(f"{verb}: {change}")
    if not changes:
        print("Nothing to do." if wanted else "No DAG of a RepX lab is known to Airflow yet.")
