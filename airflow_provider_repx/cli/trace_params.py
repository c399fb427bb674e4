"""`airflow repx trace-params`."""

from __future__ import annotations

import argparse

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.find import select
from airflow_provider_repx.cli.labs import choose_lab
from airflow_provider_repx.cli.tables import print_json, print_table
from airflow_provider_repx.lab import effective_parameters
from airflow_provider_repx.plan.labels import shown

__all__ = ["trace_params"]


@command
def trace_params(arguments: argparse.Namespace) -> None:
    """Print the effective parameters of jobs, by job id in alphabetical order as RepX does."""
    found = {}
    for selected in select(choose_lab(arguments).lab, arguments.spec):
        effective = effective_parameters(selected.run)
        found.update({job_id: dict(effective[job_id]) for job_id in selected.jobs})
    ordered = dict(sorted(found.items()))
    if arguments.output == "json":
        print_json(ordered)
        return
    names = list(dict.fromkeys(name for values in ordered.values() for name in values))
    rows = [
        [job_id, *(shown(values[name]) if name in values else "-" for name in names)]
        for job_id, values in ordered.items()
    ]
    print_table([["job", *names], *rows])
