"""Scatter-gather stages in a real Airflow."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.lab import read_lab
from tests.support.airflow import RUN_TIMEOUT, Deploy, deploy_dag_file, run
from tests.support.nix import LIBRARY, private_nix
from tests.support.scatter_gather import StepSpec
from tests.support.split_lab import Split, diamond
from tools.airflow_local import AirflowApi, AirflowInstance

pytestmark = pytest.mark.integration


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return Split(tmp_path)


@pytest.fixture
def deploy(airflow_instance: AirflowInstance, split: Split) -> Deploy:
    name = f"t{uuid.uuid4().hex[:8]}"

    def deploy(*, settings: str = "", lab: Path | None = None, run: str = "simulation", **shape: Any) -> str:
        path = lab or split.write(**shape)
        source = f"""
            from airflow_provider_repx import repx_dags
            globals().update(repx_dags(lab={str(path)!r}, name={name!r}, base_path={str(split.base)!r},
                                       dag_id_prefix="{name}_", retry_delay=1, poll_interval=0.5, {settings}))
        """
        deploy_dag_file(airflow_instance, f"{name}.py", source, f"{name}_{run}")
        return f"{name}_{run}"

    return deploy


def states(api: AirflowApi, dag_id: str, run_id: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for task in api.task_instances(dag_id, run_id):
        found.setdefault(task.task_id, []).append(str(task.state))
    return {task_id: sorted(all_states) for task_id, all_states in found.items()}


@pytest.mark.full
def test_a_diamond_goes_through_for_each_job_and_the_next_run_reuses_it(
    airflow_api: AirflowApi, split: Split, deploy: Deploy
) -> None:
    items = [{"name": "north pole"}, {"name": "südpol"}, 7]
    dag_id = deploy(seeds=2, items=items)
    run_id, state = run(airflow_api, dag_id)
    assert state == "success", states(airflow_api, dag_id, run_id)
    for seed in (1, 2):
        assert split.result(seed) == [*map(diamond, items), "noted"]
    labels = {
        task.rendered_map_index
        for task in airflow_api.task_instances(dag_id, run_id)
        if task.task_id == "split.step-join"
    }
    assert labels == {"0: north pole", "1: südpol", "2: 7"}
    once = split.executions()
    assert set(once.values()) == {1}
    assert len(once) == 2 * (2 + 3 * 4)

    run_id, state = run(airflow_api, dag_id)
    assert state == "success"
    assert split.executions() == once
    assert states(airflow_api, dag_id, run_id)["split.step-join"] == ["skipped"]

    run_id, state = run(airflow_api, dag_id, force=True, jobs=["split"])
    assert state == "success"
    assert set(split.executions().values()) == {2}


def test_a_failed_step_stays_its_own_and_clearing_resumes_there(
    airflow_api: AirflowApi, split: Split, deploy: Deploy
) -> None:
    dag_id = deploy(items=["a", "b", "c"])
    culprit = split.fail("1:step-left:1")
    run_id, state = run(airflow_api, dag_id)
    assert state == "failed"
    found = states(airflow_api, dag_id, run_id)
    assert found["split.step-start"] == ["success"] * 3
    assert found["split.step-left"] == ["failed", "success", "success"]
    assert found["split.step-right"] == ["success"] * 3
    assert found["split.step-join"] == ["success", "success", "upstream_failed"]
    assert found["split.gather"] == ["failed"]
    assert found["report"] == ["upstream_failed"]
    log = airflow_api.log_text(dag_id, run_id, "split.gather")
    assert "1 of 3 branches are not done" in log
    assert "branch 1: step left failed" in log
    left = airflow_api.log_text(dag_id, run_id, "split.step-left", map_index=1)
    assert "no luck with step-left:1" in left
    folder = split.base / "outputs" / split.job("split", 1)
    assert (folder / "branch-1/step-left/repx/FAIL").exists()
    assert not list((folder / "repx").glob("[SF]*"))
    before = split.executions()

    culprit.unlink()
    airflow_api.clear(dag_id, run_id, only_failed=True)
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "success"
    assert split.executions() - before == Counter({"1:step-left:1": 1, "1:step-join:1": 1, "1:gather": 1})
    assert split.result() == [*map(diamond, ["a", "b", "c"]), "noted"]


@pytest.mark.full
def test_another_dag_run_takes_up_only_the_failed_branch(airflow_api: AirflowApi, split: Split, deploy: Deploy) -> None:
    dag_id = deploy(items=["a", "b", "c"])
    culprit = split.fail("1:step-join:2")
    assert run(airflow_api, dag_id)[1] == "failed"
    culprit.unlink()
    before = split.executions()
    run_id, state = run(airflow_api, dag_id)
    assert state == "success"
    assert split.executions() - before == Counter({"1:step-join:2": 1, "1:gather": 1})
    joins = [task for task in airflow_api.task_instances(dag_id, run_id) if task.task_id == "split.step-join"]
    assert [task.rendered_map_index for task in joins] == ["2: c"]


@pytest.mark.full
def test_what_lies_behind_a_failed_job_is_resumed_by_clearing(
    airflow_api: AirflowApi, split: Split, deploy: Deploy
) -> None:
    dag_id = deploy(items=["a", "b"], steps={"only": StepSpec()})
    culprit = split.fail("1:source")
    run_id, state = run(airflow_api, dag_id)
    assert state == "failed"
    found = states(airflow_api, dag_id, run_id)
    assert found["split.scatter"] == found["split.step-only"] == ["upstream_failed"]
    assert "scatter was not run" in airflow_api.log_text(dag_id, run_id, "split.gather")
    culprit.unlink()
    airflow_api.clear(dag_id, run_id, only_failed=True)
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "success"
    assert split.result() == ['only("a")', 'only("b")', "noted"]


@pytest.mark.full
def test_nothing_new_starts_after_a_failure_when_asked(airflow_api: AirflowApi, split: Split, deploy: Deploy) -> None:
    dag_id = deploy(items=["a"])
    split.fail("1:step-left:0")
    run_id, state = run(airflow_api, dag_id, continue_on_failure=False)
    assert state == "failed"
    found = states(airflow_api, dag_id, run_id)
    assert found["split.step-left"] == ["failed"]
    assert found["split.gather"] == found["report"] == ["skipped"]
    assert not {"1:step-join:0", "1:gather"} & set(split.executions())


@pytest.mark.full
def test_no_work_items_at_all(airflow_api: AirflowApi, split: Split, deploy: Deploy) -> None:
    dag_id = deploy(items=[])
    run_id, state = run(airflow_api, dag_id)
    assert state == "success", states(airflow_api, dag_id, run_id)
    assert split.result() == ["noted"]


@pytest.mark.full
def test_work_items_that_are_none_fail_scatter_and_are_made_anew(
    airflow_api: AirflowApi, split: Split, deploy: Deploy
) -> None:
    dag_id = deploy(items={"not": "an array"})
    run_id, state = run(airflow_api, dag_id)
    assert state == "failed"
    found = states(airflow_api, dag_id, run_id)
    assert found["split.scatter"] == ["failed"]
    assert found["split.gather"] == ["failed"]
    log = airflow_api.log_text(dag_id, run_id, "split.scatter")
    assert "work_items.json: holds an object" in log
    split.items.write_text('["a"]')
    airflow_api.clear(dag_id, run_id, only_failed=True)
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "success"
    assert split.executions()["1:scatter"] == 2


@pytest.mark.full
def test_a_wide_stage_shares_its_tasks(airflow_api: AirflowApi, split: Split, deploy: Deploy) -> None:
    dag_id = deploy(seeds=9, items=["x"], steps={"only": StepSpec()})
    split.fail("3:step-only:0")
    run_id, state = run(airflow_api, dag_id)
    assert state == "failed"
    found = states(airflow_api, dag_id, run_id)
    assert found["split.scatter"] == ["success"] * 9
    assert found["split.step-only"] == ["failed", *["success"] * 8]
    assert found["split.gather"] == ["failed", *["success"] * 8]
    assert found["report"] == ["skipped", *["success"] * 8]
    labels = {
        task.rendered_map_index
        for task in airflow_api.task_instances(dag_id, run_id)
        if task.task_id == "split.step-only"
    }
    assert labels == {f"seed={seed} / 0: x" for seed in range(1, 10)}


@pytest.mark.skipif(shutil.which("nix") is None, reason="there is no nix command on this machine")
def test_a_lab_built_by_nix(airflow_api: AirflowApi, split: Split, deploy: Deploy) -> None:
    file = Path(__file__).parents[1] / "nix/labs/patterns/resources/lab.nix"
    expression = f"let repx-lib = import {LIBRARY}; in import {file} {{ inherit repx-lib; pkgs = repx-lib.hostPkgs; }}"
    with private_nix() as nix:
        lab = nix.build("--impure", "--expr", expression).path
        dag_id = deploy(lab=lab, run="parallel", settings='cpus=4, memory="16G"')
        run_id, state = run(airflow_api, dag_id)
        assert state == "success", states(airflow_api, dag_id, run_id)
        report = next(row for row in read_lab(lab).results("parallel", split.base) if row.stage == "report")
    assert report.outputs["report"].read_text().split() == ["header", "3"]
    slots = {task.task_id: task.pool_slots for task in airflow_api.task_instances(dag_id, run_id)}
    assert {name: slots[f"process.{name}"] for name in ("scatter", "step-compute", "step-summarize", "gather")} == {
        "scatter": 1,
        "step-compute": 4,
        "step-summarize": 1,
        "gather": 2,
    }
    labels = [
        task.rendered_map_index
        for task in airflow_api.task_instances(dag_id, run_id)
        if task.task_id == "process.step-summarize"
    ]
    assert sorted(map(str, labels)) == ["0: index=1", "1: index=2", "2: index=3"]


@pytest.mark.full
@pytest.mark.timeout(900)
def test_more_items_than_airflow_maps(airflow_api: AirflowApi, split: Split, deploy: Deploy) -> None:
    items = list(range(1500))
    dag_id = deploy(items=items, steps={"only": StepSpec()}, settings="max_mapped=50")
    culprits = [split.fail(f"1:step-only:{branch}") for branch in (7, 1400)]
    run_id = airflow_api.trigger(dag_id).run_id
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=600).state == "failed"
    only = states(airflow_api, dag_id, run_id)["split.step-only"]
    assert only == ["failed"] * 2 + ["success"] * 48
    assert "2 of 1500 branches are not done" in airflow_api.log_text(dag_id, run_id, "split.gather")
    for culprit in culprits:
        culprit.unlink()
    before = split.executions()
    airflow_api.clear(dag_id, run_id, only_failed=True)
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "success"
    again = {"1:step-only:7": 1, "1:step-only:1400": 1, "1:gather": 1}
    assert split.executions() - before == Counter(again)
    assert split.result() == [*(f"only({item})" for item in items), "noted"]
