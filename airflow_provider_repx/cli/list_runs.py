"""`airflow repx list runs`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab
from airflow_provider_repx.cli.tables import one_line, print_json, print_table
from airflow_provider_repx.errors import StoreError, TargetError, TransportError
from airflow_provider_repx.execution.store import JobStatus
from airflow_provider_repx.lab import JobId, Run

__all__ = ["list_runs"]


@command
def list_runs(arguments: argparse.Namespace) -> None:
    """Print one row per run."""
    chosen = choose_lab(arguments)
    statuses = _statuses(chosen)
    runs = [_describe(chosen, chosen.lab.run(name), statuses) for name in chosen.lab.run_names]
    if arguments.output == "json":
        print_json(runs)
        return
    header = ["run", "dag", "groups", "depends on", "jobs", *map(str, JobStatus)]
    print_table([header, *map(_row, runs)])


def _statuses(chosen: ChosenLab) -> Mapping[JobId, JobStatus] | None:
    """How far every job is; where the output store cannot be asked, say why and do without."""
    jobs = dict.fromkeys(job for name in chosen.lab.run_names for job in chosen.lab.run(name).jobs)
    try:
        return chosen.store.statuses(jobs)
    except (StoreError, TargetError, TransportError) as error:
        print(f"[WARNING] no job's status is known: {one_line(str(error))}", file=sys.stderr)
        return None


def _describe(chosen: ChosenLab, run: Run, statuses: Mapping[JobId, JobStatus] | None) -> dict[str, Any]:
    counts = None if statuses is None else Counter(statuses[job] for job in run.jobs)
    return {
        "run": run.name,
        "dag_id": chosen.dag_id(run.name),
        "groups": [group for group, members in chosen.lab.groups.items() if run.name in members],
        "hard_dependencies": [found.run for found in run.dependencies if found.kind == "hard"],
        "soft_dependencies": [found.run for found in run.dependencies if found.kind == "soft"],
        "jobs": len(run.jobs),
        **{status.value: None if counts is None else counts[status] for status in JobStatus},
    }


def _row(run: dict[str, Any]) -> list[str]:
    upstream = [*run["hard_dependencies"], *(f"{name} (soft)" for name in run["soft_dependencies"])]
    counts = ["-" if run[status.value] is None else str(run[status.value]) for status in JobStatus]
    return [run["run"], run["dag_id"], ", ".join(run["groups"]), ", ".join(upstream), str(run["jobs"]), *counts]
