"""Whatever is killed, restarted, marked or cleared: no job is lost, and none runs twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.experiments import Experiment
from tests.support.slurm_airflow import SlurmAirflow
from tools.airflow_local import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.ssh]

POINTS = ("s1.1", "s1.2", "s1.3")


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    made = Experiment(tmp_path)
    made.write(seeds=1)
    return made


@pytest.fixture
def whole(slurm_airflow: SlurmAirflow) -> Iterator[SlurmAirflow]:
    """Whatever a test has killed is started again after it."""
    yield slurm_airflow
    slurm_airflow.airflow.start()


def begin(world: SlurmAirflow, experiment: Experiment, *, settings: str = "") -> tuple[str, str]:
    """A DAG run whose three jobs of the stage `simulate` run and wait."""
    for label in POINTS:
        experiment.hold(label)
    dag_id = world.deploy_lab(experiment, settings=settings)
    run_id = world.api.trigger(dag_id).run_id
    wait_until(lambda: set(POINTS) <= set(experiment.executions()), timeout=120, what="three jobs to run")
    return dag_id, run_id


def release(experiment: Experiment) -> None:
    for label in POINTS:
        (experiment.folder / f"hold-{label}").unlink(missing_ok=True)


def index_of(world: SlurmAirflow, dag_id: str, run_id: str, label: str) -> int:
    temperature = int(label.split(".")[1]) / 2
    shown = f"temperature={temperature}"
    return next(
        task.map_index
        for task in world.tasks(dag_id, run_id)["simulate"]
        if task.rendered_map_index == shown or str(task.map_index) == str(int(temperature * 2) - 1)
    )


def end_well(world: SlurmAirflow, experiment: Experiment, dag_id: str, run_id: str) -> None:
    """Everything ends with success, and ran once."""
    release(experiment)
    state = world.api.wait_for_run(dag_id, run_id, timeout=200).state
    assert state == "success", world.api.log_text(dag_id, run_id, "summary")
    assert set(experiment.executions().values()) == {1}


@pytest.mark.full
@pytest.mark.parametrize("state", ["failed", "success"])
def test_marked_while_it_runs_ends_exactly_that_job(
    slurm_airflow: SlurmAirflow, experiment: Experiment, state: str
) -> None:
    dag_id, run_id = begin(slurm_airflow, experiment)
    slurm_airflow.api.set_task_state(
        dag_id, run_id, "simulate", state, map_index=index_of(slurm_airflow, dag_id, run_id, "s1.2")
    )
    wait_until(lambda: len(slurm_airflow.queue()) == 2, timeout=60, what="one job to be cancelled")
    release(experiment)
    # Also where the task counts as done: its job is not, and what needs that is not run.
    assert slurm_airflow.api.wait_for_run(dag_id, run_id, timeout=120).state == "failed"
    assert experiment.executions() == {"p1": 1, **dict.fromkeys(POINTS, 1), "m1.1": 1, "m1.3": 1}


@pytest.mark.full
def test_a_cancelled_dag_run_is_deleted_and_another_one_goes_on(
    slurm_airflow: SlurmAirflow, experiment: Experiment, tmp_path: Path
) -> None:
    dag_id, run_id = begin(slurm_airflow, experiment)
    (tmp_path / "another").mkdir()
    other = Experiment(tmp_path / "another")
    other.write(seeds=1)
    begun = begin(slurm_airflow, other)
    # Airflow does not delete one that runs.
    slurm_airflow.api.set_run_state(dag_id, run_id, "failed")
    slurm_airflow.api.delete_run(dag_id, run_id)
    wait_until(lambda: len(slurm_airflow.queue()) == 3, timeout=60, what="the end of the jobs of one DAG run")
    end_well(slurm_airflow, other, *begun)


@pytest.mark.full
def test_cleared_while_running_runs_anew_and_only_there(slurm_airflow: SlurmAirflow, experiment: Experiment) -> None:
    dag_id, run_id = begin(slurm_airflow, experiment)
    index = index_of(slurm_airflow, dag_id, run_id, "s1.2")
    slurm_airflow.api.clear(dag_id, run_id, [("simulate", index)])
    wait_until(lambda: experiment.executions()["s1.2"] == 2, timeout=90, what="the job to run anew")
    assert len(slurm_airflow.queue("RUNNING")) == 3
    release(experiment)
    assert slurm_airflow.api.wait_for_run(dag_id, run_id, timeout=120).state == "success"
    assert experiment.executions()["s1.1"] == experiment.executions()["s1.3"] == 1
    assert experiment.executions()["s1.2"] == 2


@pytest.mark.full
def test_the_triggerer_is_killed_while_jobs_run(whole: SlurmAirflow, experiment: Experiment) -> None:
    dag_id, run_id = begin(whole, experiment)
    whole.airflow.kill("triggerer")
    (experiment.folder / "hold-s1.1").unlink()
    wait_until(lambda: len(whole.queue()) == 2, timeout=60, what="one job to end meanwhile")
    whole.airflow.start()
    end_well(whole, experiment, dag_id, run_id)


@pytest.mark.full
def test_marked_as_failed_while_the_triggerer_is_down(whole: SlurmAirflow, experiment: Experiment) -> None:
    dag_id, run_id = begin(whole, experiment)
    whole.airflow.kill("triggerer")
    index = index_of(whole, dag_id, run_id, "s1.2")
    whole.api.set_task_state(dag_id, run_id, "simulate", "failed", map_index=index)
    whole.airflow.start()
    wait_until(lambda: len(whole.queue()) == 2, timeout=120, what="the orphan to be cancelled")
    release(experiment)
    assert whole.api.wait_for_run(dag_id, run_id, timeout=120).state == "failed"
    assert experiment.executions() == {"p1": 1, **dict.fromkeys(POINTS, 1), "m1.1": 1, "m1.3": 1}


@pytest.mark.full
def test_two_triggerers_at_once_submit_nothing_twice(whole: SlurmAirflow, experiment: Experiment) -> None:
    """One is stalled until the other has taken its triggers over, then goes on: both watch the same jobs."""
    dag_id, run_id = begin(whole, experiment)
    whole.airflow.start_component("triggerer-2")
    whole.airflow.suspend("triggerer")
    try:
        log = whole.airflow.component_log("triggerer-2")
        wait_until(
            lambda: log.exists() and log.read_text(errors="replace").count("Start from trigger enabled") >= 3,
            timeout=120,
            what="the second triggerer to take over",
        )
    finally:
        whole.airflow.resume("triggerer")
    try:
        end_well(whole, experiment, dag_id, run_id)
    finally:
        whole.airflow.kill("triggerer-2")


@pytest.mark.full
def test_two_triggerers_share_the_work_and_one_is_killed(whole: SlurmAirflow, experiment: Experiment) -> None:
    experiment.write(seeds=1, temperatures=20)
    whole.airflow.start_component("triggerer-2")
    try:
        hold = [experiment.hold(f"s1.{number}") for number in range(1, 21)]
        dag_id = whole.deploy_lab(experiment)
        run_id = whole.api.trigger(dag_id).run_id
        wait_until(lambda: len(experiment.executions()) == 21, timeout=150, what="twenty jobs to run")
    finally:
        whole.airflow.kill("triggerer-2")
    for file in hold:
        file.unlink()
    end_well(whole, experiment, dag_id, run_id)
    assert len(experiment.executions()) == 41


@pytest.mark.full
def test_the_whole_run_is_ended_while_the_triggerer_is_down(whole: SlurmAirflow, experiment: Experiment) -> None:
    """No trigger is left that could look for orphans."""
    dag_id, run_id = begin(whole, experiment)
    whole.airflow.kill("triggerer")
    whole.api.set_run_state(dag_id, run_id, "failed")
    whole.api.delete_run(dag_id, run_id)
    whole.airflow.start()
    whole.wait_until_queue_is_empty()


@pytest.mark.full
def test_the_scheduler_and_the_controller_are_killed_while_jobs_run(
    whole: SlurmAirflow, experiment: Experiment
) -> None:
    dag_id, run_id = begin(whole, experiment)
    whole.airflow.kill("scheduler")
    whole.wait_for_saved_state()
    whole.cluster.kill("slurmctld")
    (experiment.folder / "hold-s1.1").unlink()
    whole.airflow.start()
    whole.cluster.restart("slurmctld")
    end_well(whole, experiment, dag_id, run_id)


@pytest.mark.full
def test_the_worker_is_killed_while_it_hands_over(whole: SlurmAirflow, experiment: Experiment) -> None:
    """The whole tree of the scheduler, workers included, dies at once, in a run that starts on workers."""
    for label in POINTS:
        experiment.hold(label)
    dag_id = whole.deploy_lab(experiment, settings="start='worker'")
    run_id = whole.api.trigger(dag_id).run_id
    wait_until(
        lambda: any(task.state == "running" for task in whole.tasks(dag_id, run_id)["simulate"]),
        timeout=120,
        what="a worker to start",
        interval=0.05,
    )
    whole.airflow.kill("scheduler", tree=True)
    whole.airflow.start()
    wait_until(lambda: set(POINTS) <= set(experiment.executions()), timeout=200, what="three jobs to run")
    end_well(whole, experiment, dag_id, run_id)


@pytest.mark.full
def test_the_triggerer_is_killed_while_jobs_are_pending(whole: SlurmAirflow, experiment: Experiment) -> None:
    whole.cluster.run("scontrol", "update", "PartitionName=main", "State=DOWN")
    try:
        dag_id = whole.deploy_lab(experiment)
        run_id = whole.api.trigger(dag_id).run_id
        wait_until(lambda: whole.queue("PENDING"), timeout=120, what="a pending job")
        whole.airflow.kill("triggerer")
        whole.airflow.start()
    finally:
        whole.cluster.run("scontrol", "update", "PartitionName=main", "State=UP")
    end_well(whole, experiment, dag_id, run_id)


@pytest.mark.full
def test_a_hundred_jobs(slurm_airflow: SlurmAirflow, experiment: Experiment) -> None:
    experiment.write(seeds=1, temperatures=50)
    dag_id = slurm_airflow.deploy_lab(experiment)
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", slurm_airflow.api.log_text(dag_id, run_id, "summary")
    assert len(experiment.executions()) == 101
    assert set(experiment.executions().values()) == {1}
