"""A DAG of another team, run whenever a run of a RepX lab has results: copy it into the DAGs folder and adapt it."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from airflow_provider_repx.assets import run_asset

# The lab's name and the run. Without this package it is Asset.ref(uri="repx://five-runs/evaluate").
SCORES = run_asset("five-runs", "evaluate")


@dag(dag_id="on_results", schedule=[SCORES], catchup=False, is_paused_upon_creation=False, tags=["example"])
def on_results() -> None:
    """Say which version of the lab made the results."""

    @task
    def tell(triggering_asset_events: Any = None) -> list[str]:
        lines = [
            f"{event.asset.uri}: {event.extra['succeeded']} of {event.extra['jobs']} jobs,"
            f" lab id {event.extra['lab_id']}, git {event.extra['git_hash']}"
            for events in (triggering_asset_events or {}).values()
            for event in events
        ]
        print("\n".join(lines))  # noqa: T201 - what a task prints is its log
        return lines

    tell()


on_results()
