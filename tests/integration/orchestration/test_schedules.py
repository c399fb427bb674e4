"""Runs that begin by themselves: by cron, by an asset, by a backfill; and a DAG of another team that follows them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
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


def test_a_backfill_makes_what_it_needs(orchestra: AirflowInstance, tmp_path: Path) -> None:
    lab = serve(orchestra, tmp_path, "schedules={'train': '@yearly'}")
    day = datetime.now(tz=timezone.utc).replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    body = {
        "dag_id": lab.dag("train"),
        "from_date": (day - timedelta(days=400)).isoformat(),
        "to_date": (day - timedelta(days=300)).isoformat(),
        "run_backwards": False,
        "dag_run_conf": {},
        "max_active_runs": 1,
        "reprocess_behavior": "none",
    }
    orchestra.api.request("POST", "/backfills", body=body)
    orchestra.api.pause(lab.dag("train"), paused=False)
    runs = wait_until(
        lambda: [run for run in lab.runs("train") if run.startswith("backfill")], timeout=90, what="the backfill"
    )
    for run_id in runs:
        assert lab.wait("train", run_id) == "success", lab.log("train", run_id, "wait_for_preprocess")
    assert set(lab.experiment.executions()) == {"preprocess", "train", "train2"}
    assert set(lab.experiment.executions().values()) == {1}
