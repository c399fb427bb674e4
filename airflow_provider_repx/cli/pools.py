"""`airflow repx pools`."""

from __future__ import annotations

import argparse

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.listeners import known_pools
from airflow_provider_repx.pools import ensure_pools, planned_changes

__all__ = ["pools"]


@command
def pools(arguments: argparse.Namespace) -> None:
    """Print what the pools need, or do it."""
    wanted = list(known_pools())
    changes = ensure_pools(wanted) if arguments.apply else planned_changes(wanted)
    for plan in wanted:
        print(f"{plan.name}: {plan.slots} slots ({plan.description})")
    verb = "done" if arguments.apply else "to do (run with --apply)"
    for change in changes:
        print(f"{verb}: {change}")
    if not changes:
        print("Nothing to do." if wanted else "No DAG of a RepX lab is known to Airflow yet.")
