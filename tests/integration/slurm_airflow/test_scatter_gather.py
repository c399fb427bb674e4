"""Scatter-gather stages whose parts are Slurm jobs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.support.scatter_gather import DIAMOND
from tests.support.slurm_airflow import SlurmAirflow
from tests.support.split_lab import Split, diamond, steps_of

pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.ssh]

ITEMS = [{"name": "north pole"}, {"name": "südpol"}, 7]


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return Split(tmp_path)


def states(slurm_airflow: SlurmAirflow, dag_id: str, run_id: str) -> dict[str, list[str]]:
    return {
        task_id: sorted(str(task.state) for task in tasks)
        for task_id, tasks in slurm_airflow.tasks(dag_id, run_id).items()
    }


def newly(split: Split, before: Counter[str]) -> dict[str, int]:
    return dict(split.executions() - before)


def test_a_diamond_goes_on_at_the_failed_step_of_the_failed_branch(slurm_airflow: SlurmAirflow, split: Split) -> None:
    split.write(items=ITEMS)
    failing = split.fail("1:step-left:1")
    dag_id = slurm_airflow.deploy_lab(split)
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "failed"
    found = states(slurm_airflow, dag_id, run_id)
    assert found["split.step-left"] == ["failed", "success", "success"], found
    assert found["split.step-join"] == ["success", "success", "upstream_failed"]
    assert found["split.gather"] == ["failed"]
    log = slurm_airflow.api.log_text(dag_id, run_id, "split.gather")
    assert "1 of 3 branches are not done" in log
    assert "branch 1: step left failed" in log
    before = split.executions()
    expected = {"1:scatter": 1} | steps_of(1, (0, 1, 2))
    del expected["1:step-join:1"]
    assert before == expected

    failing.unlink()
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    assert newly(split, before) == {"1:step-left:1": 1, "1:step-join:1": 1, "1:gather": 1}
    assert split.result() == [*map(diamond, ITEMS), "noted"]
    assert states(slurm_airflow, dag_id, run_id)["split.step-right"] == ["success"]


@pytest.mark.full
@pytest.mark.parametrize("connection", ["cluster", "remote"])
@pytest.mark.parametrize("start", ["triggerer", "worker"])
def test_each_job_has_a_group_and_the_next_run_reuses_it(
    slurm_airflow: SlurmAirflow, split: Split, connection: str, start: str
) -> None:
    split.write(seeds=2, items=ITEMS)
    dag_id = slurm_airflow.deploy_lab(split, connection=connection, settings=f"start={start!r}")
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    for seed in (1, 2):
        assert split.result(seed) == [*map(diamond, ITEMS), "noted"]
    once = split.executions()
    assert set(once.values()) == {1}
    assert len(once) == 2 * (2 + 3 * 4)
    if start == "worker":
        labels = {task.rendered_map_index for task in slurm_airflow.tasks(dag_id, run_id)["split.step-join"]}
        assert labels == {"0: north pole", "1: südpol", "2: 7"}

    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success"
    assert split.executions() == once


@pytest.mark.full
@pytest.mark.parametrize("part", ["scatter", *(f"step-{step}:1" for step in DIAMOND), "gather"])
def test_a_failure_of_each_part_is_resumed_there(slurm_airflow: SlurmAirflow, split: Split, part: str) -> None:
    split.write(items=ITEMS)
    failing = split.fail(f"1:{part}")
    dag_id = slurm_airflow.deploy_lab(split, connection="remote")
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "failed"
    summary = slurm_airflow.api.log_text(dag_id, run_id, "summary")
    assert "its script exited with 3" in summary
    folder = {"gather": "", "scatter": "scatter/"}.get(part, f"branch-1/{part[:-2]}/")
    assert f"{split.job('split', 1)}/{folder}repx/stderr.log" in summary
    failing.unlink()
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    assert split.result() == [*map(diamond, ITEMS), "noted"]
    twice = {label for label, times in split.executions().items() if times == 2}
    assert twice == {f"1:{part}"}
    assert max(split.executions().values()) == 2


@pytest.mark.full
@pytest.mark.parametrize("items", [[], ["one"]])
def test_few_items(slurm_airflow: SlurmAirflow, split: Split, items: list[str]) -> None:
    split.write(items=items)
    dag_id = slurm_airflow.deploy_lab(split, connection="remote")
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    assert split.result() == [*map(diamond, items), "noted"]


@pytest.mark.full
def test_items_that_are_none_fail_their_scatter(slurm_airflow: SlurmAirflow, split: Split) -> None:
    split.write(items={"no": "list"})
    dag_id = slurm_airflow.deploy_lab(split, connection="remote")
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "failed"
    found = states(slurm_airflow, dag_id, run_id)
    assert found["split.scatter"] == ["failed"]
    assert found["split.gather"] == ["failed"]
    assert "work_items.json" in slurm_airflow.api.log_text(dag_id, run_id, "split.scatter")

    split.items.write_text(json.dumps(["a", "b"]))
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    assert split.executions()["1:scatter"] == 2
    assert split.result() == [*map(diamond, ["a", "b"]), "noted"]


@pytest.mark.full
def test_bundles_of_branches_in_shared_tasks(slurm_airflow: SlurmAirflow, split: Split) -> None:
    # More jobs than have groups of their own.
    split.write(seeds=9, items=[1, 2, 3, 4])
    failing = split.fail("2:step-right:3")
    dag_id = slurm_airflow.deploy_lab(split, settings="max_mapped=3, retries=0")
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "failed"
    found = states(slurm_airflow, dag_id, run_id)
    assert len(found["split.step-join"]) == 3
    assert [split.result(seed) for seed in (1, 3, 9)] == [[*map(diamond, [1, 2, 3, 4]), "noted"]] * 3
    before = split.executions()
    failing.unlink()
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    assert newly(split, before) == {"2:step-right:3": 1, "2:step-join:3": 1, "2:gather": 1}
    assert split.result(2) == [*map(diamond, [1, 2, 3, 4]), "noted"]
