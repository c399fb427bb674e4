"""A user's own commands on Slurm, as tasks of any DAG."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.slurm_airflow import SlurmAirflow
from tools.airflow_local import AirflowApiError, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.ssh]


def test_scripts_and_commands_succeed_and_fail_as_they_do(slurm_airflow: SlurmAirflow) -> None:
    dag_id = slurm_airflow.deploy_tasks(
        """
        SlurmOperator(task_id="script", script="echo run {{ run_id }}; echo told >&2", mem="100M", cpus=2, time="5:00")
        SlurmOperator(task_id="words", command=["printf", "<%s>", "$HOME; `id`", "{{ dag.dag_id }}", "a b"])
        SlurmOperator(task_id="worker", start="worker", script="echo $VALUE", environment={"VALUE": "it's $me"})
        SlurmOperator(task_id="remote", slurm_conn_id="remote", script="#!/usr/bin/env python3\\nprint(6 * 7)")
        SlurmOperator(task_id="three", command=["bash", "-c", "echo oh no >&2; exit 3"], retries=2)
        SlurmOperator(task_id="again", script="exit 4", retries=1, retry_on=["exit code"])
        SlurmOperator(task_id="nowhere", script="true", partition="nowhere", retries=2)
        first = SlurmOperator(task_id="first", command=["echo", "hello"])
        SlurmOperator(task_id="second", command=["echo", first.output])
        SlurmOperator.partial(task_id="many").expand(command=[["echo", "one"], ["echo", "two"]])
        """
    )
    run_id, _ = slurm_airflow.run(dag_id)
    tasks = slurm_airflow.tasks(dag_id, run_id)
    ended = {name: {(task.state, task.try_number) for task in instances} for name, instances in tasks.items()}
    failed = {"three": {("failed", 1)}, "again": {("failed", 2)}, "nowhere": {("failed", 1)}}
    assert ended == {name: failed.get(name, {("success", 1)}) for name in tasks}
    api = slurm_airflow.api
    result = api.xcom(dag_id, run_id, "script")
    assert (result["exit_code"], Path(result["stdout"]).read_text()) == (0, f"run {run_id}\n")
    assert Path(result["folder"]).name == "try-1"
    assert result["node"]
    assert result["slurm_job"]
    log = api.log_text(dag_id, run_id, "script")
    for told in ("submitted as Slurm job", "last lines of stdout", f"run {run_id}", "told", result["stdout"]):
        assert told in log
    assert Path(api.xcom(dag_id, run_id, "words")["stdout"]).read_text() == f"<$HOME; `id`><{dag_id}><a b>"
    assert Path(api.xcom(dag_id, run_id, "worker")["stdout"]).read_text() == "it's $me\n"
    assert Path(api.xcom(dag_id, run_id, "remote")["stdout"]).read_text() == "42\n"
    assert "its script exited with 3" in api.log_text(dag_id, run_id, "three")
    assert "oh no" in api.log_text(dag_id, run_id, "three")
    assert "nowhere" in api.log_text(dag_id, run_id, "nowhere")


@pytest.mark.full
def test_ends_by_slurm_are_told_apart(slurm_airflow: SlurmAirflow) -> None:
    dag_id = slurm_airflow.deploy_tasks(
        """
        SlurmOperator(task_id="limit", script="sleep 300", retries=2, time="5:00")
        SlurmOperator(task_id="cancelled", script="sleep 300", retries=2)
        SlurmOperator(task_id="deadline", script="sleep 300", retries=0, execution_timeout=timedelta(seconds=20))
        SlurmOperator(task_id="node", script="test -e {{ dag.dag_id }} || sleep 300", retries=1, partition="gpu",
                      sbatch_opts=["--nodelist=gpu2"])
        """
    )
    run_id = slurm_airflow.api.trigger(dag_id).run_id

    def running_job(task: str) -> str:
        try:
            log = slurm_airflow.api.log_text(dag_id, run_id, task)
        except AirflowApiError:
            # There is no log yet.
            return ""
        return log.split("submitted as Slurm job ")[1].split()[0] if "running on" in log else ""

    jobs = {
        task: wait_until(lambda task=task: running_job(task), timeout=90, what=f"{task} to run")  # type: ignore[misc]
        for task in ("limit", "cancelled", "node")
    }
    cluster = slurm_airflow.cluster
    cluster.run("scontrol", "update", f"JobId={jobs['limit']}", "EndTime=now+1")
    cluster.run("scancel", jobs["cancelled"])
    cluster.run("scontrol", "update", "NodeName=gpu2", "State=DOWN", "Reason=test")
    try:
        slurm_airflow.wait_for_state(dag_id, run_id, "node", "up_for_retry")
    finally:
        cluster.wait_ready()
    wait_until(
        lambda: slurm_airflow.api.task_instance(dag_id, run_id, "node").try_number == 2, timeout=90, what="another try"
    )
    for task, told in (("limit", "TIMEOUT"), ("cancelled", "CANCELLED")):
        slurm_airflow.wait_for_state(dag_id, run_id, task, "failed")
        assert told in slurm_airflow.api.log_text(dag_id, run_id, task).upper()
        assert slurm_airflow.api.task_instance(dag_id, run_id, task).try_number == 1
    slurm_airflow.wait_for_state(dag_id, run_id, "deadline", "failed")
    slurm_airflow.api.set_task_state(dag_id, run_id, "node", "failed")
    slurm_airflow.wait_until_queue_is_empty()
