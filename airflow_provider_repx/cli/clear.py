"""`airflow repx clear`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab
from airflow_provider_repx.cli.tables import print_json, print_table
from airflow_provider_repx.errors import CommandLineError
from airflow_provider_repx.lab import Lab

if TYPE_CHECKING:
    from airflow_provider_repx.cli.airflow_dags import DagRunView

__all__ = ["clear", "downstream_runs"]


@command
def clear(arguments: argparse.Namespace) -> int:
    """Clear the latest DAG run of a run, and of those that depend on it."""
    from airflow_provider_repx.cli.airflow_dags import clear_dag_run  # noqa: PLC0415 - needs Airflow's database

    chosen = choose_lab(arguments)
    run = chosen.lab.run(arguments.run).name
    found = _dag_runs(chosen, run, arguments)
    counts = [clear_dag_run(dag_run.dag_id, dag_run.run_id, dry_run=True) for dag_run in found]
    rows = [
        {"dag_id": dag_run.dag_id, "dag_run_id": dag_run.run_id, "state": dag_run.state, "tasks": count}
        for dag_run, count in zip(found, counts, strict=True)
    ]
    if arguments.output == "json":
        print_json(rows)
    else:
        print_table([["dag", "dag run", "state", "tasks to clear"], *([*map(str, row.values())] for row in rows)])
    if arguments.dry_run:
        return 0
    if not arguments.yes and not _confirmed():
        print("Nothing was cleared.", file=sys.stderr)
        return 1
    # Upstream ones first: those behind them then find them under way, not failed.
    for dag_run in found:
        clear_dag_run(dag_run.dag_id, dag_run.run_id, dry_run=False)
    return 0


def downstream_runs(lab: Lab, run: str) -> tuple[str, ...]:
    """The runs that depend on a run, hard, directly or through others, upstream ones first."""
    reached = {run}
    for name in lab.run_names:
        if any(dependency.kind == "hard" and dependency.run in reached for dependency in lab.run(name).dependencies):
            reached.add(name)
    return tuple(name for name in lab.run_names if name in reached and name != run)


def _dag_runs(chosen: ChosenLab, run: str, arguments: argparse.Namespace) -> Sequence[DagRunView]:
    from airflow_provider_repx.cli.airflow_dags import find_dag_run, latest_dag_run  # noqa: PLC0415 - see above

    found = [find_dag_run(chosen.dag_id(run), arguments.dag_run)]
    if arguments.downstream:
        others = [latest_dag_run(chosen.dag_id(name)) for name in downstream_runs(chosen.lab, run)]
        # A run that was never triggered has nothing to clear.
        found += [dag_run for dag_run in others if dag_run is not None]
    return found


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise CommandLineError("nobody can be asked here: confirm with --yes, or look with --dry-run.")
    print("Clear these? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
