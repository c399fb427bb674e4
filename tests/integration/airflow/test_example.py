"""The example lab, built by Nix inside a real Airflow, edited while one of its DAG runs is under way."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_repx.building import FlakeSource, Nix
from airflow_provider_repx.lab import Lab, read_lab
from tests.integration.conftest import AirflowInstanceFactory
from tools.airflow_local import AirflowApi, AirflowInstance, DagBundle, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("nix") is None, reason="there is no nix command on this machine"),
]

ROOT = Path(__file__).parents[3]


class Workshop:
    """A copy of the example that may be edited, its private store, and an Airflow that serves and builds it."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.base = folder / "base"
        self.link = folder / "result"
        self.store = folder / "nix"
        for part in ("flake.nix", "examples", "airflow_provider_repx/nix"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            (self.checkout / part).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / part, self.checkout / part)
        self.edit("runs/simulation.nix", "[ 1.5 1.9 2.1 2.269 2.5 3.2 ]", "[ 1.5 3.2 ]")
        self.edit("runs/simulation.nix", '[ "cold" "cool" "below" "critical" "above" "hot" ]', '[ "cold" "hot" ]')
        self.edit("runs/simulation.nix", "utils.range 1 3", "utils.range 1 2")
        Nix.find(private_store=self.store).build(FlakeSource(self.flake), out_link=self.link)

    @property
    def flake(self) -> str:
        return f"path:{self.checkout}#simulation"

    @property
    def bundle(self) -> DagBundle:
        settings = {"base_path": str(self.base), "flake": self.flake, "private_store": str(self.store), "cpus": 2}
        return DagBundle(
            "ising",
            "airflow_provider_repx.bundles.RepxLabBundle",
            {"lab": str(self.link), "refresh_interval": 1, "settings": settings},
        )

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.checkout / "examples/simulation" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def lab(self) -> Lab:
        return read_lab(self.link)


def jobs_of(lab: Lab, stage: str) -> set[str]:
    return {job_id for job_id, job in lab.run("simulation").jobs.items() if job.stage == stage}


def outcomes(api: AirflowApi, run_id: str, stage: str) -> dict[str, bool]:
    """Which jobs a DAG run's tasks were about that had something to do, and whether each was reused in the end."""
    tasks = [task for task in api.task_instances("repx_simulation", run_id) if task.task_id == stage]
    worked = [task.map_index for task in tasks if task.state == "success"]
    jobs = [api.xcom("repx_simulation", run_id, stage, map_index=index)["job"] for index in worked]
    return {job["job"]: job["reused"] for job in jobs}


def run_to_success(airflow: AirflowInstance, dag_id: str) -> str:
    run_id = airflow.api.trigger(dag_id).run_id
    assert airflow.api.wait_for_run(dag_id, run_id, timeout=200).state == "success"
    return run_id


def wait_for_version(airflow: AirflowInstance, version: str) -> None:
    def served() -> bool:
        dag = airflow.api.dags().get("repx_simulation")
        return dag is not None and dag.bundle_version == version

    wait_until(served, timeout=60, what=f"the DAGs of {version}")


def test_editing_a_stage_runs_only_what_depends_on_it_also_beside_an_older_run(
    tmp_path: Path, airflow_instance_factory: AirflowInstanceFactory
) -> None:
    workshop = Workshop(tmp_path)
    old = workshop.lab()
    with airflow_instance_factory("example", bundles=[workshop.bundle]) as airflow:
        api = airflow.api
        wait_for_version(airflow, old.path.name)
        first = api.trigger("repx_simulation").run_id
        wait_until(lambda: any(workshop.base.glob("outputs/*-simulate-*/repx")), timeout=90, what="a simulation")

        workshop.edit("stages/measure.nix", "      python3", "      echo measuring\n      python3")
        run_to_success(airflow, "repx_lab_build")
        new = workshop.lab()
        assert new.lab_id != old.lab_id
        assert any("repx://ising" in uri for uri in api.asset_events())
        wait_for_version(airflow, new.path.name)

        second = api.trigger("repx_simulation").run_id
        for run_id in (first, second):
            assert api.wait_for_run("repx_simulation", run_id, timeout=250).state == "success"

        assert jobs_of(new, "simulate") == jobs_of(old, "simulate")
        assert not jobs_of(new, "measure") & jobs_of(old, "measure")
        assert set(outcomes(api, first, "measure")) == jobs_of(old, "measure")
        assert set(outcomes(api, second, "measure")) == jobs_of(new, "measure")
        assert not any(outcomes(api, second, "measure").values())
        executed = [
            job for run_id in (first, second) for job, reused in outcomes(api, run_id, "simulate").items() if not reused
        ]
        assert sorted(executed) == sorted(jobs_of(new, "simulate")), "each simulation ran once, for both DAG runs"

        run_to_success(airflow, "repx_analysis")
        (plot,) = [row for row in new.results("analysis", workshop.base) if row.stage == "plot"]
        assert plot.outputs["plot"].read_text().lstrip().startswith("<")

    picture = tmp_path / "magnetization.svg"
    notebook = [sys.executable, str(ROOT / "examples/results.py"), str(workshop.link), str(workshop.base), str(picture)]
    printed = subprocess.run(notebook, check=True, capture_output=True, text=True, timeout=120).stdout
    assert "4 measurements" in printed
    assert "<svg" in picture.read_text()
