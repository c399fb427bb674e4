"""`airflow repx list groups`."""

from __future__ import annotations

import argparse

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.labs import choose_lab
from airflow_provider_repx.cli.tables import print_json, print_table

__all__ = ["list_groups"]


@command
def list_groups(arguments: argparse.Namespace) -> None:
    """Print one row per group."""
    lab = choose_lab(arguments).lab
    groups = {name: lab.runs_in_group(name) for name in lab.groups}
    if arguments.output == "json":
        print_json([{"group": name, "runs": list(runs)} for name, runs in groups.items()])
    else:
        print_table([["group", "runs"], *([name, ", ".join(runs)] for name, runs in groups.items())])
