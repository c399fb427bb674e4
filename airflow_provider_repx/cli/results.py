"""`airflow repx results`."""

from __future__ import annotations

import argparse
import sys

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.labs import lab_and_store
from airflow_provider_repx.cli.tables import print_table
from airflow_provider_repx.execution.store import results as results_of

__all__ = ["results"]


@command
def results(arguments: argparse.Namespace) -> None:
    """Print one row per job of a run."""
    lab, store = lab_and_store(arguments)
    table = results_of(lab, arguments.run, store)
    if arguments.output == "csv":
        sys.stdout.write(table.to_csv())
    elif arguments.output == "json":
        print(table.to_json())
    else:
        print_table(table.to_table())
