"""Runs of labs whose jobs run on Slurm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.experiments import Experiment
from tests.support.labs import RunSpec, write_lab
from tests.support.slurm_airflow import SlurmAirflow
from tools.airflow_local import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.ssh]


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment(tmp_path)


@pytest.mark.parametrize("start", ["triggerer", pytest.param("worker", marks=pytest.mark.full)])
def test_a_run_goes_through_on_slurm_and_the_next_reuses_everything(
    slurm_airflow: SlurmAirflow, experiment: Experiment, start: str
) -> None:
    experiment.write(seeds=1)
    dag_id = slurm_airflow.deploy_lab(experiment, settings=f"start={start!r}")
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", slurm_airflow.api.log_text(dag_id, run_id, "summary")
    assert experiment.executions() == dict.fromkeys(["p1", *(f"{s}1.{t}" for s in "sm" for t in (1, 2, 3))], 1)
    log = slurm_airflow.api.log_text(dag_id, run_id, "measure", map_index=1)
    begin, _, end = log.partition("succeeded in")
    assert "/repx/stderr.log" in begin
    assert ", Slurm job" in end
    result = slurm_airflow.api.xcom(dag_id, run_id, "measure", map_index=1)["job"]
    assert result["slurm_job"]
    assert result["node"] in {"cpu1", "cpu2", "gpu1", "gpu2"}
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success"
    assert set(experiment.executions().values()) == {1}


def test_hints_reach_slurm(slurm_airflow: SlurmAirflow, experiment: Experiment) -> None:
    job = experiment.job(
        "train",
        "t",
        hints={
            "mem": "64G",
            "cpus": 8,
            "time": "12:00:00",
            "partition": "gpu",
            "sbatch_opts": ["--gres=gpu:2", "--constraint=a100"],
        },
    )
    write_lab(experiment.lab, [RunSpec("simulation", [job])])
    held = experiment.hold("t")
    dag_id = slurm_airflow.deploy_lab(experiment)
    run_id = slurm_airflow.api.trigger(dag_id).run_id
    wait_until(lambda: experiment.executions()["t"], timeout=90, what="the job to run")
    [line] = slurm_airflow.queue()
    shown = slurm_airflow.cluster.run("scontrol", "-o", "show", "job", line.split()[0]).stdout
    for told in (
        "Partition=gpu",
        "CPUs/Task=8",
        "MinMemoryNode=64G",
        "TimeLimit=12:00:00",
        "Features=a100",
        "gres:gpu:2",
    ):
        assert told in shown
    held.unlink()
    assert slurm_airflow.api.wait_for_run(dag_id, run_id, timeout=90).state == "success"


@pytest.mark.full
def test_a_failure_is_final_and_leaves_other_points_alone(slurm_airflow: SlurmAirflow, experiment: Experiment) -> None:
    experiment.write(seeds=1)
    failing = experiment.fail("s1.2")
    dag_id = slurm_airflow.deploy_lab(experiment)
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "failed"
    tasks = slurm_airflow.tasks(dag_id, run_id)
    assert sorted(str(task.state) for task in tasks["measure"]) == ["success", "success", "upstream_failed"]
    [failed] = [task for task in tasks["simulate"] if task.state == "failed"]
    assert failed.try_number == 1
    log = slurm_airflow.api.log_text(dag_id, run_id, "simulate", map_index=failed.map_index)
    assert "its script exited with 3" in log
    assert "no luck with s1.2" in log
    failing.unlink()
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success"
    assert experiment.executions()["s1.2"] == 2
    assert experiment.executions()["s1.1"] == 1


def test_a_run_goes_through_over_ssh(slurm_airflow: SlurmAirflow, experiment: Experiment) -> None:
    experiment.write(seeds=1)
    failing = experiment.fail("m1.3")
    dag_id = slurm_airflow.deploy_lab(experiment, connection="remote")
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "failed"
    assert slurm_airflow.tasks(dag_id, run_id)["sync"][0].state == "success"
    assert "no luck with m1.3" in slurm_airflow.api.log_text(dag_id, run_id, "measure", map_index=2)
    failing.unlink()
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", slurm_airflow.api.log_text(dag_id, run_id, "summary")
    assert "7 jobs wanted, 6 of them done already" in slurm_airflow.api.log_text(dag_id, run_id, "open_lab")


@pytest.mark.full
def test_when_one_job_fails_and_the_run_shall_not_go_on_pending_jobs_are_given_up(
    slurm_airflow: SlurmAirflow, experiment: Experiment
) -> None:
    stages = {"failing": "compute", "running": "compute", "pending": "gpu"}
    jobs = [experiment.job(stage, stage, hints={"partition": where}) for stage, where in stages.items()]
    write_lab(experiment.lab, [RunSpec("simulation", jobs)])
    experiment.fail("failing")
    holds = {label: experiment.hold(label) for label in ("failing", "running")}
    cluster = slurm_airflow.cluster
    cluster.run("scontrol", "update", "PartitionName=gpu", "State=DOWN")
    try:
        dag_id = slurm_airflow.deploy_lab(experiment)
        run_id = slurm_airflow.api.trigger(dag_id, conf={"continue_on_failure": False}).run_id
        wait_until(lambda: len(slurm_airflow.queue()) == 3, timeout=90, what="three jobs in the queue")
        wait_until(lambda: len(experiment.executions()) == 2, timeout=90, what="two jobs to run")
        holds["failing"].unlink()
        wait_until(lambda: len(slurm_airflow.queue()) == 1, timeout=90, what="the pending job to be given up")
        holds["running"].unlink()
        assert slurm_airflow.api.wait_for_run(dag_id, run_id, timeout=90).state == "failed"
    finally:
        cluster.run("scontrol", "update", "PartitionName=gpu", "State=UP")
    states = {task_id: tasks[0].state for task_id, tasks in slurm_airflow.tasks(dag_id, run_id).items()}
    assert {task_id: states[task_id] for task_id in stages} == {
        "failing": "failed",
        "running": "success",
        "pending": "skipped",
    }
    assert experiment.executions() == {"failing": 1, "running": 1}
