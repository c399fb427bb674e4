"""Runs that begin by themselves: by cron, by an asset, by a backfill; and a DAG of another team that follows them."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from airflow_provider_repx.lab import read_lab
from tests.integration.orchestration.conftest import RUN_TIMEOUT, ServedLab, serve
from tests.support.airflow import deploy_dag_file
from tools.airflow_local import AirflowInstance, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.full]

ROOT = Path(__file__).parents[3]


def first_run(lab: ServedLab, run: str) -> str:
    """Wait for a DAG run that nobody has triggered, and for its end."""
    return wait_until(lambda: lab.runs(run), timeout=150, what=f"a DAG run of {run}")[0]


def test_cron_then_assets_then_another_team(orchestra: AirflowInstance, tmp_path: Path) -> None:
    settings = "schedules={'preprocess': '* * * * *', 'baseline': 'asset:repx://' + NAME + '/preprocess'}"
    lab = serve(orchestra, tmp_path, settings)
    name = lab.prefix.removesuffix("_")
    api = orchestra.api
    example = (ROOT / "dags/on_results.py").read_text()
    example = example.replace('"five-runs", "evaluate"', f'"{name}", "baseline"').replace("on_results", f"{name}_team")
    deploy_dag_file(orchestra, f"{name}_team.py", example, f"{name}_team")
    for run in ("preprocess", "baseline"):
        assert api.dags()[lab.dag(run)].is_paused, "a DAG with a schedule is for somebody to unpause"
        api.pause(lab.dag(run), paused=False)

    scheduled = first_run(lab, "preprocess")
    assert lab.details("preprocess", scheduled)["run_type"] == "scheduled"
    assert lab.wait("preprocess", scheduled) == "success"
    api.pause(lab.dag("preprocess"))
    followed = first_run(lab, "baseline")
    assert lab.details("baseline", followed)["run_type"] == "asset_triggered"
    assert lab.wait("baseline", followed) == "success"
    api.pause(lab.dag("baseline"))

    team = f"{name}_team"
    (run,) = wait_until(lambda: api.dag_runs(team), timeout=60, what="the other team's DAG run")
    assert api.wait_for_run(team, run.run_id, timeout=RUN_TIMEOUT).state == "success"
    (line,) = api.xcom(team, run.run_id, "tell")
    assert line.startswith(f"repx://{name}/baseline: 1 of 1 jobs, lab id {read_lab(lab.experiment.lab).lab_id}")


def backfill(lab: ServedLab, run: str, years_ago: int, **conf: object) -> str:
    """Backfill one year by Airflow's own command; the id of the DAG run."""
    year = datetime.now(tz=timezone.utc).year - years_ago
    dates = ["--from-date", f"{year - 1}-06-01", "--to-date", f"{year}-06-01"]
    known = set(lab.runs(run))
    more = ["--dag-run-conf", json.dumps(conf)] if conf else []

    def create() -> bool:
        done = lab.airflow.airflow("backfill", "create", "--dag-id", lab.dag(run), *dates, *more)
        # With SQLite, a transaction that has read before cannot wait for another one's end; and the scheduler notices a
        # while later that the backfill before has ended.
        passing = ("database is locked", "AlreadyRunningBackfill")
        assert done.returncode == 0 or any(word in done.stderr for word in passing), done.stdout + done.stderr
        return done.returncode == 0

    wait_until(create, timeout=90, what="Airflow to take a backfill")
    # A DAG that was just unpaused is run for its latest interval, too.
    (run_id,) = wait_until(
        lambda: [found for found in set(lab.runs(run)) - known if found.startswith("backfill")],
        timeout=90,
        what="the backfill",
    )
    assert lab.details(run, run_id)["run_type"] == "backfill"
    return run_id


def test_a_backfill_makes_what_it_needs(orchestra: AirflowInstance, tmp_path: Path) -> None:
    lab = serve(orchestra, tmp_path, "schedules={'train': '@yearly'}")
    orchestra.api.pause(lab.dag("train"), paused=False)
    run_id = backfill(lab, "train", 1)
    assert lab.wait("train", run_id) == "success", lab.log("train", run_id, "wait_for_preprocess")
    assert set(lab.experiment.executions()) == {"preprocess", "train", "train2"}
    assert set(lab.experiment.executions().values()) == {1}


PRODUCER = """
    from airflow.sdk import Asset, dag, task

    @dag(dag_id="{name}_producer")
    def producer():
        @task(outlets=[Asset("repx://{name}/go")])
        def go(): ...
        go()

    producer()
"""


@pytest.mark.full
def test_the_choice_about_missing_results_holds_however_a_dag_run_began(
    orchestra: AirflowInstance, tmp_path: Path
) -> None:
    settings = "on_missing='fail', schedules={'train': '@yearly', 'baseline': 'asset:repx://' + NAME + '/go',"
    lab = serve(orchestra, tmp_path, f"{settings} 'visualize': '* * * * *'}}")
    name = lab.prefix.removesuffix("_")
    deploy_dag_file(orchestra, f"{name}_producer.py", PRODUCER.format(name=name), f"{name}_producer")
    for run in ("train", "baseline", "visualize"):
        orchestra.api.pause(lab.dag(run), paused=False)
    orchestra.api.pause(f"{name}_producer", paused=False)
    orchestra.api.trigger(f"{name}_producer")

    began = {"train": backfill(lab, "train", 1), "baseline": first_run(lab, "baseline")}
    began["visualize"] = first_run(lab, "visualize")
    for run, upstream in (("train", "preprocess"), ("baseline", "preprocess"), ("visualize", "evaluate")):
        assert lab.wait(run, began[run]) == "failed"
        assert "param `on_missing` is `fail`" in lab.log(run, began[run], f"wait_for_{upstream}")
    # Airflow does not go on with the DAG runs of a paused DAG either.
    orchestra.api.pause(lab.dag("visualize"))
    kinds = {run: lab.details(run, run_id)["run_type"] for run, run_id in began.items()}
    assert kinds == {"train": "backfill", "baseline": "asset_triggered", "visualize": "scheduled"}
    assert not lab.experiment.executions()

    patient = backfill(lab, "train", 2, on_missing="wait")
    lab.wait_for_state("train", patient, "wait_for_preprocess", "deferred")
    assert not lab.runs("preprocess")
    assert lab.wait("preprocess", lab.trigger("preprocess")) == "success"
    assert lab.wait("train", patient) == "success"
