"""Sweeps in a real Airflow: packed, labeled, incremental, stopped at failures."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.support.airflow import RUN_TIMEOUT, Deploy, run
from tests.support.experiments import Experiment
from tools.airflow_local import AirflowApi, wait_until

pytestmark = pytest.mark.integration


def states(api: AirflowApi, dag_id: str, run_id: str) -> dict[str, Counter[str | None]]:
    found: dict[str, Counter[str | None]] = {}
    for task in api.task_instances(dag_id, run_id):
        found.setdefault(task.task_id, Counter())[task.state] += 1
    return found


def test_a_packed_sweep_with_a_failure_is_continued_where_it_stopped(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy(settings="chunk=4, cpus=8, memory='64G'", seeds=1, temperatures=8)
    experiment.fail("s1.2")
    first, state = run(airflow_api, dag_id)
    assert state == "failed"
    assert states(airflow_api, dag_id, first)["simulate"] == Counter({"success": 1, "failed": 1})
    # One failure in a task keeps none of its other jobs, nor those behind them.
    assert sorted(experiment.executions()) == sorted(
        ["p1"] + [f"{stage}1.{point}" for stage in "sm" for point in range(1, 9) if (stage, point) != ("m", 2)]
    )
    log = airflow_api.log_text(dag_id, first, "simulate", map_index=0)
    assert log.count("/4] ") == 4
    summary = airflow_api.log_text(dag_id, first, "summary")
    assert "not done. 17 jobs: 1 failed, 1 skipped, 15 executed" in summary
    assert summary.index("temperature=1.0") < summary.index("CPU hours")
    told: dict[str, Any] = airflow_api.xcom(dag_id, first, "summary")
    assert (told["failed"], told["skipped"], told["executed"]) == (1, 1, 15)
    assert told["failures"][0]["cause"] == "its script exited with 3"

    (experiment.folder / "fail-s1.2").unlink()
    second, state = run(airflow_api, dag_id)
    assert state == "success", airflow_api.log_text(dag_id, second, "summary")
    assert experiment.executions()["s1.2"] == 2
    assert sum(experiment.executions().values()) == 18
    # Tasks with nothing to do are never started.
    assert states(airflow_api, dag_id, second) == {
        "open_lab": Counter({"success": 1}),
        "prepare": Counter({"skipped": 1}),
        "simulate": Counter({"skipped": 1, "success": 1}),
        "measure": Counter({"skipped": 1, "success": 1}),
        "summary": Counter({"success": 1}),
    }
    told = airflow_api.xcom(dag_id, second, "summary")
    assert (told["reused"], told["executed"], told["jobs"]) == (15, 2, 17)


def test_points_show_their_parameters_while_they_wait_and_are_found_by_them(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy(seeds=2, temperatures=2)
    holds = [experiment.hold(f"p{seed}") for seed in (1, 2)]
    run_id = airflow_api.trigger(dag_id).run_id

    def labeled() -> bool:
        waiting = [task for task in airflow_api.task_instances(dag_id, run_id) if task.task_id == "measure"]
        return {task.rendered_map_index for task in waiting} == {
            f"temperature={temperature}, seed={seed}" for temperature in (0.5, 1.0) for seed in (1, 2)
        }

    wait_until(labeled, timeout=60, what="the labels of points that wait")
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
    found = airflow_api.request("GET", path, query={"rendered_map_index_pattern": "%temperature=1.0%seed=2%"})
    assert {item["task_id"] for item in found["task_instances"]} == {"simulate", "measure"}
    for hold in holds:
        hold.unlink()
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "success"
    assert labeled()


@pytest.mark.full
def test_nothing_further_starts_after_a_failure_when_asked(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy(settings="cpus=1", seeds=1, temperatures=6)
    experiment.fail("s1.1")
    run_id, state = run(airflow_api, dag_id, continue_on_failure=False)
    assert state == "failed"
    found = states(airflow_api, dag_id, run_id)
    assert found["simulate"]["failed"] == 1
    assert found["simulate"]["skipped"] >= 1
    assert found["measure"]["success"] + found["measure"]["skipped"] + found["measure"]["upstream_failed"] == 6
    started = sum(label.startswith("s") for label in experiment.executions())
    assert started < 6
    assert "did not start" in airflow_api.log_text(dag_id, run_id, "summary")


@pytest.mark.full
def test_force_runs_the_jobs_named_again_and_what_depends_on_them(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy(seeds=1, temperatures=2)
    _, state = run(airflow_api, dag_id)
    assert state == "success"
    once = experiment.executions()
    assert set(once.values()) == {1}
    run_id, state = run(airflow_api, dag_id, jobs=["simulate"], downstream=True, force=True)
    assert state == "success", airflow_api.log_text(dag_id, run_id, "summary")
    assert experiment.executions() - once == Counter({f"{stage}1.{point}": 1 for stage in "sm" for point in (1, 2)})
    assert states(airflow_api, dag_id, run_id)["prepare"] == Counter({"skipped": 1})
    assert airflow_api.xcom(dag_id, run_id, "summary")["executed"] == 4


@pytest.mark.full
def test_a_packed_task_that_is_marked_as_failed_ends_all_of_its_jobs(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy(settings="chunk=6, cpus=8, memory='64G'", seeds=1, temperatures=6)
    for point in range(1, 7):
        experiment.hold(f"s1.{point}")
    run_id = airflow_api.trigger(dag_id).run_id
    wait_until(
        lambda: sum(label.startswith("s") for label in experiment.executions()) == 2, timeout=90, what="two jobs to run"
    )
    airflow_api.set_task_state(dag_id, run_id, "simulate", "failed")
    wait_until(
        lambda: not list(experiment.base.glob("outputs/*-simulate-*/repx/claim")), timeout=60, what="the jobs to end"
    )
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "failed"
    assert sum(label.startswith("s") for label in experiment.executions()) == 2
    assert not list(experiment.base.glob("outputs/*-simulate-*/repx/SUCCESS"))
