"""Runs of labs in a real Airflow: scheduler, DAG processor, triggerer, workers."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from airflow_provider_repx.lab import read_lab
from tests.support.airflow import RUN_TIMEOUT, Deploy, run
from tests.support.experiments import Experiment
from tools.airflow_local import AirflowApi, AirflowInstance, wait_until

pytestmark = pytest.mark.integration


def states(api: AirflowApi, dag_id: str, run_id: str) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for task in api.task_instances(dag_id, run_id):
        found.setdefault(task.task_id, []).append(task.state)
    return found


def map_index_of(api: AirflowApi, dag_id: str, run_id: str, task_id: str, label: str) -> int:
    return next(
        task.map_index
        for task in api.task_instances(dag_id, run_id)
        if task.task_id == task_id and task.rendered_map_index == label
    )


def wait_for_execution(experiment: Experiment, label: str) -> int:
    """Wait until a job runs; its process id."""
    file = experiment.folder / f"pid-{label}"

    def pid() -> int | None:
        return int(file.read_text()) if file.exists() and file.read_text().strip() else None

    return wait_until(pid, timeout=60, what=f"job {label} to start")


def test_a_run_goes_through_and_the_next_reuses_everything(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy()
    run_id, state = run(airflow_api, dag_id)
    assert state == "success", airflow_api.log_text(dag_id, run_id, "summary")
    labels = {
        task.rendered_map_index for task in airflow_api.task_instances(dag_id, run_id) if task.task_id == "measure"
    }
    assert labels == {f"temperature={t}, seed={s}" for t in (0.5, 1.0, 1.5) for s in (1, 2)}
    assert set(experiment.executions().values()) == {1}
    assert len(experiment.executions()) == 14
    table = read_lab(experiment.lab).results("simulation", experiment.base)
    assert {row.status.value for row in table.rows} == {"succeeded"}
    assert any(
        event == f"repx://{dag_id.removesuffix('_simulation')}/simulation" for event in airflow_api.asset_events()
    )
    pools = {task.pool for task in airflow_api.task_instances(dag_id, run_id) if task.task_id == "simulate"}
    assert pools == {"repx_local"}

    _, state = run(airflow_api, dag_id)
    assert state == "success"
    assert set(experiment.executions().values()) == {1}

    _, state = run(airflow_api, dag_id, force=True, jobs=["prepare-*"])
    assert state == "success"
    assert experiment.executions()["p1"] == 2
    assert experiment.executions()["s1.1"] == 1


def test_a_small_pool_brings_points_to_their_end_before_it_begins_others(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy(seeds=1, temperatures=5, settings="cpus=1")
    gate = experiment.hold("p1")
    run_id = airflow_api.trigger(dag_id).run_id
    wait_until(
        lambda: airflow_api.request("GET", "/pools/repx_local")["slots"] == 1,
        timeout=60,
        what="the pool that other tests have used to get its new size",
    )
    gate.unlink()
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "success"
    order = list(experiment.executions())
    assert order[0] == "p1"
    # The scheduler may start one more point before it has seen that the second stage of the first one is ready.
    measured = [position for position, label in enumerate(order) if label.startswith("m")]
    simulated = [position for position, label in enumerate(order) if label.startswith("s")]
    assert all(ended < begun for ended, begun in zip(measured[:-2], simulated[2:], strict=True)), order


def test_a_failure_stays_its_own_and_is_explained(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy()
    culprit = experiment.fail("s1.2")
    run_id, state = run(airflow_api, dag_id)
    assert state == "failed"
    found = states(airflow_api, dag_id, run_id)
    assert sorted(map(str, found["simulate"])) == ["failed", *["success"] * 5]
    assert sorted(map(str, found["measure"])) == [*["success"] * 5, "upstream_failed"]
    assert found["summary"] == ["failed"]
    index = map_index_of(airflow_api, dag_id, run_id, "simulate", "temperature=1.0, seed=1")
    log = airflow_api.log_text(dag_id, run_id, "simulate", map_index=index)
    assert "no luck with s1.2" in log
    assert "its script exited with 3" in log
    summary = airflow_api.log_text(dag_id, run_id, "summary")
    assert "temperature=1.0" in summary
    assert "stderr.log" in summary
    assert experiment.executions()["s1.2"] == 1

    culprit.unlink()
    _, state = run(airflow_api, dag_id)
    assert state == "success"
    counts = experiment.executions()
    assert counts.pop("s1.2") == 2
    assert set(counts.values()) == {1}


def test_points_behind_a_failed_fan_out_are_skipped_alone(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy()
    experiment.fail("p1")
    run_id, state = run(airflow_api, dag_id)
    assert state == "failed"
    assert sorted(map(str, states(airflow_api, dag_id, run_id)["simulate"])) == ["skipped"] * 3 + ["success"] * 3
    assert "s1.1" not in experiment.executions()


def test_nothing_new_starts_after_a_failure_when_asked(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy()
    experiment.fail("p1")
    _, state = run(airflow_api, dag_id, continue_on_failure=False)
    assert state == "failed"
    assert "p1" in experiment.executions()
    assert not [label for label in experiment.executions() if not label.startswith("p")]


def test_a_hard_dependency_waits_for_data(airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy) -> None:
    simulation = deploy(seeds=1, temperatures=1)
    analysis = simulation.replace("_simulation", "_analysis")
    waiting = airflow_api.trigger(analysis).run_id
    wait_until(
        lambda: states(airflow_api, analysis, waiting).get("wait_for_simulation") == ["deferred"],
        timeout=60,
        what="the sensor to wait",
    )
    assert run(airflow_api, simulation)[1] == "success"
    assert airflow_api.wait_for_run(analysis, waiting, timeout=60).state == "success"
    assert experiment.executions()["g"] == 1


def test_marking_a_task_failed_ends_its_processes(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy(seeds=1, temperatures=1)
    experiment.hold("p1")
    run_id = airflow_api.trigger(dag_id).run_id
    pid = wait_for_execution(experiment, "p1")
    airflow_api.set_task_state(dag_id, run_id, "prepare", "failed")
    wait_until(lambda: not psutil.pid_exists(pid), timeout=60, what="the job's process to end")
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "failed"
    assert not list(experiment.base.glob("outputs/*/repx/SUCCESS"))


def test_marking_a_packed_task_failed_starts_none_of_its_further_jobs(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy(settings="max_mapped=1", seeds=2, temperatures=1)
    experiment.hold("p1")
    experiment.hold("p2")
    run_id = airflow_api.trigger(dag_id).run_id
    wait_until(experiment.executions, timeout=60, what="the first job to start")
    (first,) = experiment.executions()
    pid = wait_for_execution(experiment, first)
    airflow_api.set_task_state(dag_id, run_id, "prepare", "failed")
    wait_until(lambda: not psutil.pid_exists(pid), timeout=60, what="the job's process to end")
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "failed"
    assert set(experiment.executions()) == {first}


def test_nothing_runs_where_no_job_matches(airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy) -> None:
    dag_id = deploy()
    run_id, state = run(airflow_api, dag_id, jobs=["prepair"])
    assert state == "failed"
    assert states(airflow_api, dag_id, run_id) == {
        "open_lab": ["failed"],
        "prepare": ["upstream_failed"] * 2,
        "simulate": ["skipped"] * 6,
        "measure": ["skipped"] * 6,
        "summary": ["failed"],
    }
    assert airflow_api.task_instance(dag_id, run_id, "open_lab").try_number == 1
    assert "did you mean 'prepare'" in airflow_api.log_text(dag_id, run_id, "open_lab")
    assert not experiment.executions()


def test_two_dag_runs_run_one_job_once(airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy) -> None:
    dag_id = deploy(seeds=1, temperatures=1)
    gate = experiment.hold("p1")
    first = airflow_api.trigger(dag_id).run_id
    wait_for_execution(experiment, "p1")
    second = airflow_api.trigger(dag_id).run_id
    wait_until(
        lambda: states(airflow_api, dag_id, second).get("prepare") == ["running"], timeout=60, what="the second task"
    )
    gate.unlink()
    for run_id in (first, second):
        assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "success"
    assert set(experiment.executions().values()) == {1}


def test_a_worker_killed_outright_loses_and_doubles_nothing(
    airflow_api: AirflowApi, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy(seeds=1, temperatures=1)
    gate = experiment.hold("p1")
    run_id = airflow_api.trigger(dag_id).run_id
    job = psutil.Process(wait_for_execution(experiment, "p1"))
    runner = job.parent()
    assert runner is not None
    worker = runner.parent()
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(
        lambda: (
            airflow_api.task_instance(dag_id, run_id, "prepare").try_number == 2
            and airflow_api.task_instance(dag_id, run_id, "prepare").state == "running"
        ),
        timeout=90,
        what="the next try",
    )
    assert job.is_running()
    gate.unlink()
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "success"
    assert experiment.executions()["p1"] == 1


def test_a_task_that_finds_another_lab_stops(
    airflow_api: AirflowApi, airflow_instance: AirflowInstance, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy(seeds=1, temperatures=1)
    gate = experiment.hold("p1")
    run_id = airflow_api.trigger(dag_id).run_id
    wait_for_execution(experiment, "p1")
    experiment.write(seeds=1, temperatures=1, version="2")
    gate.unlink()
    assert airflow_api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state == "failed"
    log = airflow_api.log_text(dag_id, run_id, "simulate")
    assert "started with lab" in log
    assert "Trigger the DAG again" in log
    assert set(experiment.executions()) == {"p1"}


def test_a_run_that_airflow_made_from_an_older_build_says_so(
    airflow_api: AirflowApi, airflow_instance: AirflowInstance, experiment: Experiment, deploy: Deploy
) -> None:
    dag_id = deploy(seeds=1, temperatures=2)
    airflow_instance.suspend("dag-processor")
    try:
        experiment.write(seeds=1, temperatures=3)
        run_id, state = run(airflow_api, dag_id)
    finally:
        airflow_instance.resume("dag-processor")
    assert state == "failed"
    log = airflow_api.log_text(dag_id, run_id, "open_lab")
    assert "has 2 instances, not 3" in log
    assert "Airflow has not read the new build yet" in log
    assert not experiment.executions()
