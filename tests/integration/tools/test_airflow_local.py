from __future__ import annotations

import shlex
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.airflow import deploy_dag_file, wait_for_import_error
from tools.airflow_local import COMPONENTS, AirflowApiError, AirflowInstance, AirflowStartError, wait_until
from tools.airflow_local.processes import is_running, tree_of

if TYPE_CHECKING:
    from tests.integration.conftest import AirflowInstanceFactory

pytestmark = pytest.mark.integration

SQUARES = """
    from airflow.sdk import dag, get_current_context, task

    @dag(dag_id="tools_squares", schedule=None, is_paused_upon_creation=False, tags=["trivial"])
    def squares():
        @task(map_index_template="{{ label }}")
        def square(x):
            context = get_current_context()
            context["label"] = f"x={x}"
            if x == context["dag_run"].conf.get("fail_at"):
                raise ValueError(f"no square of {x}")
            return x * x

        @task
        def total(parts):
            return sum(parts)

        total(square.expand(x=[1, 2, 3]))

    squares()
"""


def test_a_run_from_trigger_to_values_and_logs(airflow_instance: AirflowInstance) -> None:
    dag = deploy_dag_file(airflow_instance, "squares.py", SQUARES, "tools_squares")
    api = airflow_instance.api
    assert dag.tags == {"trivial"}
    assert not dag.is_paused

    triggered = api.trigger("tools_squares", run_id="by-hand+1", conf={"note": "ä"})
    assert triggered.conf == {"note": "ä"}
    assert api.wait_for_run("tools_squares", "by-hand+1", timeout=120).state == "success"

    labels = [task.rendered_map_index for task in api.task_instances("tools_squares", "by-hand+1")]
    assert labels == ["x=1", "x=2", "x=3", None]
    assert api.xcom("tools_squares", "by-hand+1", "total") == 14
    assert api.xcom("tools_squares", "by-hand+1", "square", map_index=2) == 9
    assert "Returned value was: 4" in api.log_text("tools_squares", "by-hand+1", "square", map_index=1)


def test_a_failed_task_shows_its_error_and_runs_again_when_cleared(airflow_instance: AirflowInstance) -> None:
    deploy_dag_file(airflow_instance, "squares.py", SQUARES, "tools_squares")
    api = airflow_instance.api
    run = api.trigger("tools_squares", conf={"fail_at": 2})
    assert api.wait_for_run(run.dag_id, run.run_id, timeout=120).state == "failed"
    assert "ValueError: no square of 2" in api.log_text(run.dag_id, run.run_id, "square", map_index=1)

    cleared = api.clear(run.dag_id, run.run_id, [("square", 1)], downstream=True)
    assert {(task.task_id, task.map_index) for task in cleared} == {("square", 1), ("total", -1)}
    assert api.wait_for_run(run.dag_id, run.run_id, timeout=120).state == "failed"
    assert api.task_instance(run.dag_id, run.run_id, "square", 1).try_number == 2
    assert api.task_instance(run.dag_id, run.run_id, "square", 0).try_number == 1


def test_a_broken_file_is_an_import_error(airflow_instance: AirflowInstance) -> None:
    error = wait_for_import_error(
        airflow_instance, "broken.py", "from airflow.sdk import dag\nraise RuntimeError('out of order')\n"
    )
    assert "out of order" in error.stack_trace


def test_pools_are_created_and_resized(airflow_instance: AirflowInstance) -> None:
    airflow_instance.api.create_pool("tools", 2)
    airflow_instance.api.create_pool("tools", 3)
    assert airflow_instance.api.request("GET", "/pools/tools")["slots"] == 3


def test_refusals_of_the_server_name_the_request(airflow_instance: AirflowInstance) -> None:
    with pytest.raises(AirflowApiError, match="GET /dags/nowhere/dagRuns/never: 404") as caught:
        airflow_instance.api.dag_run("nowhere", "never")
    assert caught.value.status == 404


def test_a_shell_that_sources_the_file_speaks_to_this_airflow(
    airflow_instance: AirflowInstance, tmp_path: Path
) -> None:
    file = tmp_path / "env.sh"
    airflow_instance.write_shell_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    deploy_dag_file(airflow_instance, "squares.py", SQUARES, "tools_squares")

    script = (
        f"set -eu; . {shlex.quote(str(file))}; airflow dags trigger tools_squares --run-id from-shell --output json"
    )
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": "/nowhere", "AIRFLOW__CORE__EXECUTOR": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert airflow_instance.api.wait_for_run("tools_squares", "from-shell", timeout=120).state == "success"


def test_secrets_are_for_the_owner_only(airflow_instance: AirflowInstance) -> None:
    for name in ("instance.json", "passwords.json", "airflow.cfg", "processes.json"):
        assert stat.S_IMODE((airflow_instance.home / name).stat().st_mode) == 0o600


SLEEPER = """
    import subprocess

    from airflow.sdk import dag, task

    @dag(dag_id="tools_sleeper", schedule=None, is_paused_upon_creation=False)
    def sleeper():
        @task
        def sleep():
            subprocess.run(["setsid", "sleep", "600"], check=True)

        sleep()

    sleeper()
"""


def sleeping(instance: AirflowInstance) -> bool:
    scheduler = instance.status()["scheduler"].process
    family = tree_of([scheduler])
    commands = [Path(f"/proc/{member.pid}/cmdline").read_bytes() for member in family if is_running(member)]
    return any(command.startswith(b"sleep\x00600") for command in commands)


@pytest.mark.full
def test_life_of_an_instance(airflow_instance_factory: AirflowInstanceFactory) -> None:
    """A taken port, the crash of a component, its restart, and a stop from another process, running tasks included."""
    instance = airflow_instance_factory("own")
    chosen = instance.settings
    with socket.create_server(("127.0.0.1", chosen.api_port)):
        instance.start()
    assert instance.settings.api_port != chosen.api_port
    assert instance.settings.password == chosen.password
    assert instance.is_running()
    pids = {name: status.pid for name, status in instance.status().items()}
    instance.start()
    assert {name: status.pid for name, status in instance.status().items()} == pids

    instance.kill("triggerer")
    assert not instance.status()["triggerer"].running
    instance.start()
    after = {name: status.pid for name, status in instance.status().items()}
    assert {name for name in COMPONENTS if after[name] != pids[name]} == {"triggerer"}

    deploy_dag_file(instance, "sleeper.py", SLEEPER, "tools_sleeper")
    instance.api.trigger("tools_sleeper")
    wait_until(lambda: sleeping(instance), timeout=60, what="the task's own process")
    everything = tree_of((status.process for status in instance.status().values()), instance.settings.mark)

    stop = (
        "import sys, pathlib; from tools.airflow_local import AirflowInstance as A; A(pathlib.Path(sys.argv[1])).stop()"
    )
    subprocess.run([sys.executable, "-c", stop, str(instance.home)], check=True, timeout=120)

    assert [member for member in everything if is_running(member)] == []
    assert tree_of([], instance.settings.mark) == frozenset()
    assert instance.stop() == 0


@pytest.mark.full
def test_a_start_that_fails_shows_the_log(airflow_instance_factory: AirflowInstanceFactory) -> None:
    instance = airflow_instance_factory("wrong", overrides={"AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor"})
    with pytest.raises(AirflowStartError, match="NoSuchExecutor"):
        instance.start(timeout=60)
    assert instance.stop() >= 0
