"""`airflow repx results`."""

from __future__ import annotations

import argparse
import sys

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.labs import choose_lab
from airflow_provider_repx.cli.tables import print_table
from airflow_provider_repx.execution.store import OutputStore, Results
from airflow_provider_repx.execution.store import results as results_of

__all__ = ["results"]


@command
def results(arguments: argparse.Namespace) -> None:
    """Print one row per job of a run."""
    chosen = choose_lab(arguments)
    store = chosen.store
    table = results_of(chosen.lab, arguments.run, store)
    if arguments.output == "csv":
        sys.stdout.write(table.to_csv())
    elif arguments.output == "json":
        print(table.to_json())
    else:
        print_table(_rows(table, store))
        print(f"\nOutputs are below {store.outputs}/<job>/")


def _rows(table: Results, store: OutputStore) -> list[list[str]]:
    """The table with all outputs in one column, as paths within the job's folder: whole ones would hide the rest."""
    whole = table.to_table()
    first = len(whole[0]) - len(table.output_names)
    rows = [[*whole[0][:first], "outputs"]]
    for line, row in zip(whole[1:], table, strict=True):
        folder = store.job(row.job_id).root
        rows.append([*line[:first], ", ".join(str(path.relative_to(folder)) for path in row.outputs.values())])
    return rows
