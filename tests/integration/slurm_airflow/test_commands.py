"""A user's own commands on Slurm, as tasks of any DAG."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.slurm_airflow import SlurmAirflow
from tools.airflow_local import AirflowApiError, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.ssh]


def test_scripts_and_commands_succeed_and_fail_as_they_do(slurm_airflow: SlurmAirflow) -> None:
    dag_id = slurm_airflow.deploy_tasks(
        """
        script = SlurmOperator(
            task_id="script", script="echo run {{ run_id }}; echo told >&2", mem="100M", cpus=2, time="5:00")
        SlurmOperator(task_id="words", command=["printf", "<%s>", "$HOME; `id`", "{{ dag.dag_id }}", "a b"])
        raw = "{{ '{{' }} 7 * 7 }}"
        SlurmOperator(task_id="worker", start="worker", script="echo $VALUE", environment={"VALUE": f"it's $me {raw}"})
        values = ["{{ ti.xcom_pull(task_ids='script')['exit_code'] }}", raw, "{{ var.value.get('nobody', 'none') }}"]
        script >> SlurmOperator(task_id="pulled", command=["echo", *values])
        SlurmOperator(task_id="remote", slurm_conn_id="remote", script="#!/usr/bin/env python3\\nprint(6 * 7)")
        SlurmOperator(task_id="three", command=["bash", "-c", "printf 'oh no \\\\377\\\\n' >&2; exit 3"], retries=2)
        SlurmOperator(task_id="again", script="exit 4", retries=1, retry_on=["exit code"])
        SlurmOperator(task_id="nowhere", script="true", partition="nowhere", retries=2)
        first = SlurmOperator(task_id="first", command=["echo", "hello"])
        SlurmOperator(task_id="second", command=["echo", first.output])
        SlurmOperator(task_id="linked", slurm_conn_id="linked", command=["true"])
        SlurmOperator(task_id="linked_worker", slurm_conn_id="linked", command=["false"], start="worker")
        SlurmOperator.partial(task_id="many").expand(command=[["echo", "one"], ["echo", "two"]])
        """,
        retries=2,
    )
    run_id, _ = slurm_airflow.run(dag_id)
    tasks = slurm_airflow.tasks(dag_id, run_id)
    ended = {name: {task.state for task in instances} for name, instances in tasks.items()}
    failed = ("again", "linked_worker", "nowhere", "three")
    assert ended == {name: {"failed" if name in failed else "success"} for name in tasks}
    # On a slow machine Airflow may lose one that started on a worker, and try it again.
    direct = ("again", "first", "linked", "nowhere", "remote", "script", "three", "words")
    assert {name: tasks[name][0].try_number for name in direct} == dict.fromkeys(direct, 1) | {"again": 2}
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
    assert Path(api.xcom(dag_id, run_id, "worker")["stdout"]).read_text() == "it's $me {{ 7 * 7 }}\n"
    assert Path(api.xcom(dag_id, run_id, "pulled")["stdout"]).read_text() == "0 {{ 7 * 7 }} none\n"
    remote = api.xcom(dag_id, run_id, "remote")
    assert Path(remote["stdout"]).read_text() == "42\n"
    assert remote["slurm_job"]
    assert remote["node"] in {"cpu1", "cpu2", "gpu1", "gpu2"}
    assert (remote["exit_code"], remote["elapsed"] >= 0, remote["cpu_seconds"] >= 0) == (0, True, True)
    for task in ("script", "worker", "remote"):
        assert slurm_airflow.links(dag_id, run_id, task) == {"Job's log": None, "Slurm job": None}
    for task in ("linked", "linked_worker"):
        links = slurm_airflow.links(dag_id, run_id, task)
        assert (links["Slurm job"] or "").startswith("https://cluster.example.org/")
        assert re.search(rf"/{task}/try-\d/repx/stderr\.log$", links["Job's log"] or "")
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
