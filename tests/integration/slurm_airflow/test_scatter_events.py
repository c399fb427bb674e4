"""What happens in the middle of scatter-gather stages on Slurm: lost nodes, kills, clears, force, a first failure."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.slurm_airflow import SlurmAirflow
from tests.support.split_lab import Split, diamond, steps_of
from tools.airflow_local import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.ssh, pytest.mark.full]

ITEMS = [1, 2, 3, 4]
_SECONDS = 200


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return Split(tmp_path)


def newly(split: Split, before: Counter[str]) -> dict[str, int]:
    return dict(split.executions() - before)


def wait_for(split: Split, label: str) -> None:
    wait_until(lambda: split.executions()[label], timeout=90, what=f"{label} to start")


def states(slurm_airflow: SlurmAirflow, dag_id: str, run_id: str) -> dict[str, list[str]]:
    found = slurm_airflow.tasks(dag_id, run_id)
    return {task_id: sorted(str(task.state) for task in tasks) for task_id, tasks in found.items()}


@pytest.mark.parametrize("start", ["triggerer", "worker"])
def test_a_lost_node_in_a_bundle_costs_a_try_and_nothing_else(
    slurm_airflow: SlurmAirflow, split: Split, start: str
) -> None:
    split.write(seeds=9, items=ITEMS)
    gate = split.hold("2:step-left:3")
    dag_id = slurm_airflow.deploy_lab(split, settings=f"max_mapped=3, retries=1, start={start!r}")
    run_id = slurm_airflow.api.trigger(dag_id).run_id
    wait_for(split, "2:step-left:3")
    everything_else = {
        label for seed in range(1, 10) for label in steps_of(seed, range(4)) if ":step-left:" in label
    } - {"2:step-left:3"}
    wait_until(lambda: everything_else <= set(split.executions()), timeout=90, what="the other branches")
    wait_until(lambda: len(slurm_airflow.queue("RUNNING")) == 1, timeout=60, what="the job that is held to be alone")
    [line] = slurm_airflow.queue("RUNNING")
    shown = slurm_airflow.cluster.run("scontrol", "-o", "show", "job", line.split()[0]).stdout
    [node] = re.findall(r" NodeList=(\S+)", shown)
    try:
        slurm_airflow.cluster.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
        gate.unlink()
        run = slurm_airflow.api.wait_for_run(dag_id, run_id, timeout=_SECONDS)
    finally:
        slurm_airflow.cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
    assert run.state == "success", states(slurm_airflow, dag_id, run_id)
    repeated = {label: times for label, times in split.executions().items() if times > 1}
    assert repeated == {"2:step-left:3": 2}
    assert [split.result(seed) for seed in range(1, 10)] == [[*map(diamond, ITEMS), "noted"]] * 9


def test_a_forced_job_whose_scatter_cannot_run_does_not_go_on_with_the_former_one(
    slurm_airflow: SlurmAirflow, split: Split
) -> None:
    split.write(seeds=9, items=ITEMS)
    dag_id = slurm_airflow.deploy_lab(split, settings="max_mapped=3, retries=0")
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    before = split.executions()
    split.fail("2:source")
    run_id, state = slurm_airflow.run(dag_id, force=True)
    assert state == "failed"
    again = newly(split, before)
    assert not [label for label in again if label.startswith("2:")], again
    assert again == {label: times for label, times in before.items() if not label.startswith("2:")}


def test_force_runs_every_part_of_the_given_job_again_and_nothing_else(
    slurm_airflow: SlurmAirflow, split: Split
) -> None:
    split.write(seeds=2, items=ITEMS)
    dag_id = slurm_airflow.deploy_lab(split)
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    before = split.executions()
    split.items.write_text(json.dumps([1, 5]))
    run_id, state = slurm_airflow.run(dag_id, force=True, jobs=[str(split.job("split", 2))], downstream=True)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    assert newly(split, before) == {"2:scatter": 1, "2:gather": 1} | dict(steps_of(2, (0, 1)))
    assert split.result(2) == [*map(diamond, [1, 5]), "noted"]
    assert split.result(1) == [*map(diamond, ITEMS), "noted"]


def test_after_a_first_failure_nothing_more_is_started_if_asked(slurm_airflow: SlurmAirflow, split: Split) -> None:
    split.write(items=ITEMS)
    split.fail("1:step-start:0")
    gate = split.hold("1:step-start:3")
    dag_id = slurm_airflow.deploy_lab(split, settings="retries=0")
    run_id = slurm_airflow.api.trigger(dag_id, conf={"continue_on_failure": False}).run_id
    wait_for(split, "1:step-start:3")
    wait_until(
        lambda: "failed" in states(slurm_airflow, dag_id, run_id).get("split.step-start", []),
        timeout=90,
        what="the failure",
    )
    gate.unlink()
    assert slurm_airflow.api.wait_for_run(dag_id, run_id, timeout=_SECONDS).state == "failed"
    # What ran to its end may have had a successor before the failure was seen; what was held cannot.
    assert not {label for label in split.executions() if label.endswith(":3")} - {"1:step-start:3"}
    assert "1:gather" not in split.executions()
    before = split.executions()
    (split.folder / "fail-1:step-start:0").unlink()
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    assert max((split.executions() - before).values()) == 1
    assert split.result() == [*map(diamond, ITEMS), "noted"]


@pytest.mark.parametrize("start", ["triggerer", "worker"])
def test_triggerer_and_scheduler_killed_among_the_branches(
    slurm_airflow: SlurmAirflow, split: Split, start: str
) -> None:
    split.write(items=ITEMS)
    gates = [split.hold(f"1:step-left:{branch}") for branch in range(4)]
    dag_id = slurm_airflow.deploy_lab(split, settings=f"start={start!r}")
    run_id = slurm_airflow.api.trigger(dag_id).run_id
    for branch in range(4):
        wait_for(split, f"1:step-left:{branch}")
    slurm_airflow.airflow.kill("triggerer")
    slurm_airflow.airflow.kill("scheduler")
    for gate in gates[:2]:
        gate.unlink()
    slurm_airflow.airflow.start_component("scheduler")
    slurm_airflow.airflow.start_component("triggerer")
    for gate in gates[2:]:
        gate.unlink()
    run = slurm_airflow.api.wait_for_run(dag_id, run_id, timeout=_SECONDS)
    assert run.state == "success", states(slurm_airflow, dag_id, run_id)
    assert set(split.executions().values()) == {1}
    assert split.result() == [*map(diamond, ITEMS), "noted"]


def test_a_branch_that_is_cleared_while_it_runs_is_ended_and_run_again(
    slurm_airflow: SlurmAirflow, split: Split
) -> None:
    split.write(items=ITEMS)
    gate = split.hold("1:step-left:2")
    dag_id = slurm_airflow.deploy_lab(split)
    run_id = slurm_airflow.api.trigger(dag_id).run_id
    wait_for(split, "1:step-left:2")
    wait_until(lambda: len(slurm_airflow.queue()) == 1, timeout=90, what="the job that is held to be alone")
    slurm_airflow.api.clear(dag_id, run_id, [("split.step-left", 2)])
    wait_until(lambda: split.executions()["1:step-left:2"] == 2, timeout=90, what="the next try")
    assert len(slurm_airflow.queue("RUNNING")) == 1
    gate.unlink()
    run = slurm_airflow.api.wait_for_run(dag_id, run_id, timeout=_SECONDS)
    assert run.state == "success", states(slurm_airflow, dag_id, run_id)
    assert {label for label, times in split.executions().items() if times > 1} == {"1:step-left:2"}
    assert split.result() == [*map(diamond, ITEMS), "noted"]


def test_items_that_change_between_tries(slurm_airflow: SlurmAirflow, split: Split) -> None:
    split.write(items=["a", "b", "c"])
    failing = split.fail("1:step-join:1")
    dag_id = slurm_airflow.deploy_lab(split, settings="retries=0")
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "failed"
    before = split.executions()
    failing.unlink()
    split.items.write_text(json.dumps(["a", "x", "y", "z"]))
    run_id, state = slurm_airflow.run(dag_id, force=True, jobs=[str(split.job("split", 1))], downstream=True)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    assert split.result() == [*map(diamond, ["a", "x", "y", "z"]), "noted"]
    assert newly(split, before) == {"1:scatter": 1, "1:gather": 1} | dict(steps_of(1, range(4)))

    before = split.executions()
    split.items.write_text(json.dumps(["y"]))
    run_id, state = slurm_airflow.run(dag_id, force=True, jobs=[str(split.job("split", 1))], downstream=True)
    assert state == "success", states(slurm_airflow, dag_id, run_id)
    assert split.result() == [diamond("y"), "noted"]
    assert newly(split, before) == {"1:scatter": 1, "1:gather": 1} | dict(steps_of(1, (0,)))
