"""What the tasks of a run's DAG do, beside what Airflow tells them. The jobs are real."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from airflow_provider_repx import repx_dags
from airflow_provider_repx.errors import JobCancelledError, StoreError
from airflow_provider_repx.lab import read_lab
from airflow_provider_repx.sensors.run import RepxRunSensor
from tests.support.experiments import Experiment

pytestmark = pytest.mark.unit


@dataclass
class Instance:
    """The part of a task instance that tasks ask; `states` are those of the DAG run's other task instances."""

    lab: Path
    task_id: str
    map_index: int = -1
    states: dict[str, list[str]] = field(default_factory=lambda: {"open_lab": ["success"]})
    pushed: dict[str, Any] = field(default_factory=dict)
    dag_id: str = "repx_simulation"
    run_id: str = "manual"
    try_number: int = 1
    opened: bool = True
    plan: str | None = None

    def xcom_pull(self, *, key: str, **_: Any) -> str | None:
        if not self.opened:
            return None
        return {"lab_id": read_lab(self.lab).lab_id, "plan": self.plan}[key]

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value

    def get_ti_count(
        self,
        *,
        dag_id: str,
        run_ids: list[str],
        states: list[str] | None = None,
        task_ids: list[str] | None = None,
    ) -> int:
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        asked = self.states if task_ids is None else task_ids
        return sum(states is None or state in states for task in asked for state in self.states.get(task, ()))


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    made = Experiment(tmp_path)
    made.write()
    return made


def task_of(experiment: Experiment, task_id: str, *, dag_id: str = "repx_simulation", **settings: Any) -> Any:
    dags = repx_dags(lab=experiment.lab, base_path=experiment.base, cpus=4, memory="8G", **settings)
    return dags[dag_id].get_task(task_id)


def execute(task: Any, instance: Instance, **params: Any) -> Any:
    if instance.plan is None:
        instance.plan = task.plan.fingerprint
    for chain in task.plan.chains:
        for stage in chain.stages:
            instance.states.setdefault(stage.task_id, ["scheduled"] * chain.width)
    return task.execute({"ti": instance, "params": params})


def prepare_all(experiment: Experiment) -> None:
    for index in range(2):
        execute(task_of(experiment, "prepare"), Instance(experiment.lab, "prepare", index))


def test_a_killed_task_starts_no_further_job(experiment: Experiment) -> None:
    prepare_all(experiment)
    task = task_of(experiment, "simulate", max_mapped=1)
    experiment.hold("s1.1")

    def kill() -> None:
        while not (experiment.folder / "pid-s1.1").exists():
            started.wait(0.05)
        task.on_kill()

    started = threading.Event()
    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(JobCancelledError):
        execute(task, Instance(experiment.lab, "simulate", 0))
    killer.join()
    assert {label for label in experiment.executions() if label.startswith("s")} == {"s1.1"}


def test_a_task_that_is_killed_before_its_first_job_starts_none(experiment: Experiment) -> None:
    task = task_of(experiment, "prepare")
    task.on_kill()
    with pytest.raises(JobCancelledError, match="0 of 1"):
        execute(task, Instance(experiment.lab, "prepare", 0))
    assert not experiment.executions()


def test_one_job_that_cannot_be_started_leaves_the_other_jobs_of_its_task_alone(experiment: Experiment) -> None:
    prepare_all(experiment)
    task = task_of(experiment, "simulate", max_mapped=1)
    with (experiment.lab / f"jobs/{task.stage.jobs[0]}/bin/main").open("a") as script:
        script.write("# tampered with\n")
    with pytest.raises(AirflowFailException, match=task.stage.jobs[0]):
        execute(task, Instance(experiment.lab, "simulate", 0))
    started = {label for label in experiment.executions() if label.startswith("s")}
    assert len(started) == len(task.stage.jobs) - 1


def test_no_further_job_of_a_task_starts_after_a_failure_when_asked(experiment: Experiment) -> None:
    prepare_all(experiment)
    experiment.fail("s1.1")
    task = task_of(experiment, "simulate", max_mapped=1)
    with pytest.raises(AirflowFailException, match="exited with 3"):
        execute(task, Instance(experiment.lab, "simulate", 0), continue_on_failure=False)
    assert {label for label in experiment.executions() if label.startswith("s")} == {"s1.1"}


def test_only_failed_jobs_count_as_failures_of_the_run(experiment: Experiment) -> None:
    instance = Instance(experiment.lab, "prepare", 0, states={"open_lab": ["success"], "summary": ["failed"]})
    assert execute(task_of(experiment, "prepare"), instance, continue_on_failure=False)


def test_a_done_job_is_reused_whatever_failed(experiment: Experiment) -> None:
    prepare_all(experiment)
    instance = Instance(experiment.lab, "prepare", 0, states={"open_lab": ["success"], "simulate": ["failed"]})
    assert execute(task_of(experiment, "prepare"), instance, continue_on_failure=False)[0]["reused"]


def test_a_forced_job_whose_producers_failed_is_skipped(experiment: Experiment) -> None:
    prepare_all(experiment)
    execute(task_of(experiment, "simulate"), Instance(experiment.lab, "simulate", 0))
    experiment.fail("p1")
    with pytest.raises(AirflowFailException):
        execute(task_of(experiment, "prepare"), Instance(experiment.lab, "prepare", 0, run_id="second"), force=True)
    with pytest.raises(AirflowSkipException):
        execute(task_of(experiment, "simulate"), Instance(experiment.lab, "simulate", 0, run_id="second"), force=True)


def test_nothing_runs_behind_a_gate_that_did_not_open(experiment: Experiment) -> None:
    prepare_all(experiment)
    instance = Instance(experiment.lab, "simulate", 0, states={"open_lab": ["failed"]})
    with pytest.raises(AirflowSkipException, match="open_lab"):
        execute(task_of(experiment, "simulate"), instance)
    assert set(experiment.executions()) == {"p1", "p2"}


@pytest.mark.parametrize("patterns", [["  prepare-*\n"], ["", "prepare"]])
def test_blanks_around_a_pattern_do_not_count(experiment: Experiment, patterns: list[str]) -> None:
    opened = execute(task_of(experiment, "open_lab"), Instance(experiment.lab, "open_lab"), jobs=patterns)
    assert opened["jobs"] == 2


def test_a_pattern_that_matches_nothing_fails_at_once_and_opens_no_lab(experiment: Experiment) -> None:
    instance = Instance(experiment.lab, "open_lab")
    with pytest.raises(AirflowFailException, match=r"'prepair'.*did you mean 'prepare'"):
        execute(task_of(experiment, "open_lab"), instance, jobs=["prepair"])
    assert not instance.pushed


def test_another_lab_fails_at_once(experiment: Experiment) -> None:
    instance = Instance(experiment.lab, "prepare", 0, opened=False)
    with pytest.raises(AirflowFailException, match="Clear open_lab"):
        execute(task_of(experiment, "prepare"), instance)


def sensor_of(experiment: Experiment, **settings: Any) -> RepxRunSensor:
    task: RepxRunSensor = task_of(experiment, "wait_for_simulation", dag_id="repx_analysis", **settings)
    return task


def test_the_sensor_fails_for_good_on_a_bad_lab_and_tries_again_on_a_bad_store(experiment: Experiment) -> None:
    context: Any = {"ti": Instance(experiment.lab, "wait_for_simulation"), "params": {}}
    with pytest.raises(AirflowFailException, match="torn"):
        sensor_of(experiment).execute_complete(context, {"status": "error", "message": "torn"})
    event = {"status": "error", "message": "stale file handle", "temporary": True}
    with pytest.raises(StoreError, match="stale file handle"):
        sensor_of(experiment).execute_complete(context, event)


def test_the_sensor_has_a_time_limit_and_says_what_it_waited_for(experiment: Experiment) -> None:
    from airflow.sdk.exceptions import TaskDeferred  # noqa: PLC0415 - no error, but how a task waits

    sensor = sensor_of(experiment, default_args={"timeout": 90})
    context: Any = {"ti": Instance(experiment.lab, "wait_for_simulation"), "params": {}}
    with pytest.raises(TaskDeferred) as waiting:
        sensor.execute(context)
    assert waiting.value.timeout is not None
    assert waiting.value.timeout.total_seconds() == 90
    with pytest.raises(AirflowSensorTimeout, match=r"simulation.* 90 s.*repx_simulation"):
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, context)


def test_an_index_that_means_other_jobs_by_now_runs_none(experiment: Experiment) -> None:
    started_with = task_of(experiment, "prepare").plan.fingerprint
    task = task_of(experiment, "prepare", max_mapped=1)
    with pytest.raises(AirflowFailException, match="max_mapped"):
        execute(task, Instance(experiment.lab, "prepare", 0, plan=started_with))
    assert not experiment.executions()


def test_a_dag_run_that_was_made_from_another_build_does_not_open_the_lab(experiment: Experiment) -> None:
    instance = Instance(experiment.lab, "open_lab", states={"prepare": ["scheduled"]})
    with pytest.raises(AirflowFailException, match="task prepare has 1 instances, not 2"):
        execute(task_of(experiment, "open_lab"), instance)
    assert not instance.pushed
