"""`airflow repx list deps`."""

from __future__ import annotations

import argparse

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.labs import choose_lab
from airflow_provider_repx.cli.tables import print_json, print_table

__all__ = ["list_deps"]


@command
def list_deps(arguments: argparse.Namespace) -> None:
    """Print one row per dependency between runs."""
    lab = choose_lab(arguments).lab
    found = [
        (name, dependency.run, dependency.kind) for name in lab.run_names for dependency in lab.run(name).dependencies
    ]
    if arguments.output == "json":
        print_json([{"run": name, "depends_on": upstream, "kind": kind} for name, upstream, kind in found])
    else:
        print_table([["run", "depends on", "kind"], *found])
