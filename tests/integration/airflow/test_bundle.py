"""A lab served by the versioned bundle in a real Airflow, rebuilt while its DAG runs are under way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import AirflowInstanceFactory
from tests.support.experiments import Experiment
from tools.airflow_local import DagBundle, wait_until

pytestmark = pytest.mark.integration


def point(link: Path, lab: Path) -> None:
    temporary = link.with_name("result.new")
    temporary.symlink_to(lab)
    temporary.replace(link)


def test_a_dag_run_keeps_the_lab_it_started_with(
    tmp_path: Path, airflow_instance_factory: AirflowInstanceFactory
) -> None:
    experiment = Experiment(tmp_path)
    builds = tmp_path / "builds"
    old = experiment.write(seeds=2, temperatures=1, lab=builds / "old-lab")
    new = experiment.write(seeds=3, temperatures=1, version="2", lab=builds / "new-lab")
    link = tmp_path / "result"
    point(link, old)
    bundle = DagBundle(
        "held",
        "airflow_provider_repx.bundles.RepxLabBundle",
        {"lab": str(link), "lab_name": "held", "refresh_interval": 1, "settings": {"poll_interval": 0.5, "cpus": 4}},
    )
    overrides = {"AIRFLOW__REPX__BASE_PATH": str(experiment.base)}
    with airflow_instance_factory("bundle", bundles=[bundle], overrides=overrides) as airflow:
        api = airflow.api
        wait_until(lambda: "repx_simulation" in api.dags(), timeout=60, what="the DAG")
        gate = experiment.hold("s1.1")
        first = api.trigger("repx_simulation").run_id
        wait_until(lambda: "s1.1" in experiment.executions(), timeout=60, what="the first simulation")

        version = api.dags()["repx_simulation"].bundle_version
        point(link, new)

        def newest() -> str:
            # The DAG itself says its bundle's new version a moment before its new shape is there.
            answer = api.request("GET", "/dags/repx_simulation/dagVersions", query={"order_by": "-version_number"})
            return str(answer["dag_versions"][0]["bundle_version"])

        wait_until(lambda: newest() != version, timeout=60, what="the new version")
        second = api.trigger("repx_simulation").run_id
        wait_until(lambda: "p3" in experiment.executions(), timeout=60, what="the new lab's first jobs")
        gate.unlink()
        for run_id in (first, second):
            assert api.wait_for_run("repx_simulation", run_id, timeout=150).state == "success"

        assert len([t for t in api.task_instances("repx_simulation", first) if t.task_id == "measure"]) == 2
        assert len([t for t in api.task_instances("repx_simulation", second) if t.task_id == "measure"]) == 3
        counts = experiment.executions()
        assert counts["m1.1"] == counts["m2.1"] == 2, "the stage that changed runs once for each lab"
        assert counts["s1.1"] == counts["p1"] == 1, "what did not change runs once for both"
        assert counts["m3.1"] == 1
