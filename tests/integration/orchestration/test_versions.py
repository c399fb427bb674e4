"""Versions of a lab that Airflow builds by itself, and Nix's real garbage collector."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_repx.building import kept
from airflow_provider_repx.lab import read_lab
from tests.integration.orchestration.conftest import ServedLab, Workshop
from tools.airflow_local import AirflowInstance, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("nix") is None, reason="there is no nix command on this machine"),
]


def build(lab: ServedLab, workshop: Workshop) -> Path:
    """Build the lab by its DAG; the directory that was built."""
    run_id = lab.trigger("lab_build")
    assert lab.wait("lab_build", run_id) == "success", lab.log("lab_build", run_id, "build")
    return workshop.link.resolve()


def resize_pool(airflow: AirflowInstance, slots: int) -> None:
    body = {"pool": "repx_local", "slots": slots, "include_deferred": True}
    airflow.api.request("PATCH", "/pools/repx_local", query={"update_mask": ["slots"]}, body=body)


def test_a_version_is_kept_while_a_dag_run_uses_it_and_let_go_afterwards(
    orchestra: AirflowInstance, workshop: Workshop
) -> None:
    api = orchestra.api
    lab = ServedLab(orchestra, workshop.folder, "repx_")
    wait_until(lambda: "repx_lab_build" in api.dags(), timeout=90, what="the DAG that builds the lab")
    old = build(lab, workshop)
    assert {"repx_lab", "repx_baseline", "repx_visualize"} <= set(api.dags()), "the build ends when Airflow has read it"
    assert api.dags()["repx_lab"].is_paused
    api.pause("repx_lab", paused=False)
    assert lab.wait("preprocess", lab.trigger("preprocess")) == "success"
    resize_pool(orchestra, 0)
    waiting = lab.trigger("baseline")
    lab.wait_for_state("baseline", waiting, "wait_for_preprocess", "success")

    workshop.edit("stages/score.nix", "      python3", "      echo scoring\n      python3")
    new = build(lab, workshop)
    assert new != old
    workshop.collect_garbage()
    assert old.is_dir(), "a DAG run that is not finished is about it"

    roots = orchestra.home / "bundles/five-runs/roots"
    (whole,) = wait_until(lambda: api.dag_runs("repx_lab"), timeout=60, what="the lab's DAG run that follows the build")
    assert whole.bundle_version == new.name, "it comes when Airflow has read the new build"
    resize_pool(orchestra, 4)
    assert lab.wait("baseline", waiting) == "success", lab.log("baseline", waiting, "open_lab")
    assert read_lab(old).lab_id in lab.details("baseline", waiting)["note"]
    assert lab.wait("lab", whole.run_id) == "success"
    assert read_lab(new).lab_id in lab.details("lab", whole.run_id)["note"]

    wait_until(lambda: [root.name for root in kept(roots)] == [new.name], timeout=90, what="the old root to go")
    workshop.collect_garbage()
    assert not old.exists()
    assert read_lab(new).run_names


@pytest.mark.full
def test_the_example_is_driven_from_a_shell(orchestra: AirflowInstance, workshop: Workshop) -> None:
    """The commands that the documentation shows, on the lab that Nix has built."""
    lab = ServedLab(orchestra, workshop.folder, "repx_")
    wait_until(lambda: "repx_lab_build" in orchestra.api.dags(), timeout=90, what="the DAG that builds the lab")
    if "repx_lab" not in orchestra.api.dags():
        build(lab, workshop)
    orchestra.api.pause("repx_lab", paused=False)

    def trigger(run: str, run_id: str, **conf: object) -> str:
        more = ["--conf", json.dumps(conf)] if conf else []
        done = orchestra.airflow("dags", "trigger", lab.dag(run), "--run-id", run_id, *more)
        assert done.returncode == 0, done.stdout + done.stderr
        return lab.wait(run, run_id)

    assert trigger("lab", "shell-group", group="ml-pipeline") == "success"
    states = lab.states("lab", "shell-group")
    chosen = {
        run for run in ("preprocess", "train", "evaluate", "visualize", "baseline") if states[f"run_{run}"] != "skipped"
    }
    assert chosen == {"preprocess", "train", "evaluate"}
    assert trigger("visualize", "shell-last") == "success"
    assert trigger("lab", "shell-all") == "success"
    assert set(lab.states("lab", "shell-all").values()) == {"success"}

    settings = {"LAB": workshop.link, "NAME": "five-runs", "BASE_PATH": workshop.folder / "base"}
    variables = {f"AIRFLOW__REPX__{name}": str(value) for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "repx", "run", "--group", "ml-pipeline", "--wait", "--force"],
        env=orchestra.environment() | variables,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for run in ("preprocess", "train", "evaluate"):
        assert f"{run}: success" in done.stdout
