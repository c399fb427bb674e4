"""A user's own commands on Slurm while somebody acts on their tasks: exactly those jobs are ended that nobody wants."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cluster import SlurmClusterFactory, SshServerFactory
from tests.support.slurm_airflow import SlurmAirflow
from tools.airflow_local import wait_until
from tools.cluster import SshdOptions

pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.ssh, pytest.mark.full]

TASKS = ("one", "two", "three")


@dataclass(frozen=True)
class Commands:
    """DAG runs of three tasks of one kind, each a job that waits until it is released, and is slow to end on TERM."""

    world: SlurmAirflow
    folder: Path

    def deploy(self, **defaults: object) -> str:
        script = (
            f"name={{{{ run_id }}}}-{{{{ ti.task_id }}}}\n"
            f"cd {self.folder}\n"
            'exec 9>"lock-$name"\n'
            'flock -n 9 || echo "$name" >>overlaps\n'
            "trap 'sleep 1.5; exit 1' TERM\n"
            'echo "$name" >>executions\n'
            "while [[ ! -e released ]]; do sleep 0.1; done\n"
            'echo "the end of $name"\n'
        )
        source = f"for name in {TASKS!r}:\n    SlurmOperator(task_id=name, script={script!r})\n"
        return self.world.deploy_tasks(source, **defaults)

    def begin(self, dag_id: str) -> str:
        run_id = self.world.api.trigger(dag_id).run_id
        self.wait_until_begun(run_id, dict.fromkeys(TASKS, 1))
        return run_id

    def wait_until_begun(self, run_id: str, wanted: dict[str, int]) -> None:
        wait_until(lambda: self.executions(run_id) == wanted, timeout=120, what=f"{wanted} starts of jobs")

    def executions(self, run_id: str) -> dict[str, int]:
        """How often each task's job of a DAG run has started."""
        file = self.folder / "executions"
        begun = Counter(file.read_text().splitlines()) if file.exists() else Counter()
        return {task: begun[f"{run_id}-{task}"] for task in TASKS if begun[f"{run_id}-{task}"]}

    def release(self) -> None:
        (self.folder / "released").touch()

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        return {task: tasks[0].state for task, tasks in self.world.tasks(dag_id, run_id).items()}

    @property
    def overlaps(self) -> bool:
        """Whether two jobs of one task ever ran at once."""
        return (self.folder / "overlaps").exists()


@pytest.fixture
def commands(slurm_airflow: SlurmAirflow, tmp_path: Path) -> Commands:
    return Commands(slurm_airflow, tmp_path)


@pytest.mark.parametrize("connection", ["cluster", "remote"])
def test_a_new_try_waits_for_the_end_of_the_one_before(commands: Commands, connection: str) -> None:
    world = commands.world
    dag_id = commands.deploy(slurm_conn_id=connection)
    run_id = commands.begin(dag_id)
    world.api.clear(dag_id, run_id, ["two"])
    commands.wait_until_begun(run_id, {"one": 1, "two": 2, "three": 1})
    commands.release()
    assert world.api.wait_for_run(dag_id, run_id, timeout=120).state == "success"
    assert not commands.overlaps
    result = world.api.xcom(dag_id, run_id, "two")
    assert Path(result["folder"]).name == "try-2"
    assert Path(result["stdout"]).read_text() == f"the end of {run_id}-two\n"


@pytest.mark.parametrize("state", ["success", "failed"])
def test_marked_while_it_runs(commands: Commands, state: str) -> None:
    world = commands.world
    dag_id = commands.deploy()
    run_id = commands.begin(dag_id)
    arrays = {line.split()[2] for line in world.queue()}
    assert len(arrays) == 1, "the three are elements of one array"
    world.api.set_task_state(dag_id, run_id, "two", state)
    wait_until(lambda: len(world.queue()) == 2, timeout=60, what="the end of one job")
    commands.release()
    assert world.api.wait_for_run(dag_id, run_id, timeout=120).state == state
    assert commands.states(dag_id, run_id) == {"one": "success", "two": state, "three": "success"}
    assert commands.executions(run_id) == dict.fromkeys(TASKS, 1)
    assert sorted(world.ended_in_slurm(arrays)) == ["CANCELLED", "COMPLETED", "COMPLETED"]


def test_a_dag_run_is_deleted_and_another_one_goes_on(commands: Commands) -> None:
    world = commands.world
    dag_id = commands.deploy()
    deleted, kept = commands.begin(dag_id), commands.begin(dag_id)
    assert len(world.queue()) == 6
    # Airflow does not delete one that runs.
    world.api.set_run_state(dag_id, deleted, "failed")
    world.api.delete_run(dag_id, deleted)
    wait_until(lambda: len(world.queue()) == 3, timeout=60, what="the end of the jobs of one DAG run")
    commands.release()
    assert world.api.wait_for_run(dag_id, kept, timeout=120).state == "success"
    assert commands.executions(kept) == dict.fromkeys(TASKS, 1)


def test_a_worker_is_killed_when_the_job_has_succeeded(commands: Commands) -> None:
    """The task is tried again, and its result is that of the one job there was; cleared, it is run anew."""
    world = commands.world
    dag_id = commands.deploy(start="worker", retries=2)
    run_id = commands.begin(dag_id)
    commands.release()

    def is_struck() -> bool:
        world.kill_task_processes()
        return "up_for_retry" in commands.states(dag_id, run_id).values()

    wait_until(is_struck, timeout=90, what="a worker that is killed at a task", interval=0.02)
    assert world.api.wait_for_run(dag_id, run_id, timeout=150).state == "success"
    assert commands.executions(run_id) == dict.fromkeys(TASKS, 1)
    tries = {task: instances[0].try_number for task, instances in world.tasks(dag_id, run_id).items()}
    assert max(tries.values()) > 1
    folders = {task: Path(world.api.xcom(dag_id, run_id, task)["folder"]).name for task in TASKS}
    assert folders == dict.fromkeys(TASKS, "try-1")
    again = max(tries, key=lambda task: tries[task])
    world.api.clear(dag_id, run_id, [again])
    commands.wait_until_begun(run_id, dict.fromkeys(TASKS, 1) | {again: 2})
    assert world.api.wait_for_run(dag_id, run_id, timeout=150).state == "success"
    assert Path(world.api.xcom(dag_id, run_id, again)["folder"]).name != "try-1"


def test_the_task_log_tells_where_the_jobs_log_is_while_it_runs_and_ends_with_its_end(commands: Commands) -> None:
    world = commands.world
    dag_id = commands.deploy(slurm_conn_id="remote")
    run_id = commands.begin(dag_id)
    wait_until(
        lambda: "running on" in world.api.log_text(dag_id, run_id, "one"), timeout=60, what="news in the task's log"
    )
    folder = f"commands/{dag_id}/"
    told = [line for line in world.api.log_text(dag_id, run_id, "one").splitlines() if line.startswith("folder: ")]
    assert len(told) == 1
    assert folder in told[0]
    assert "/try-1/repx/stdout" in told[0]
    commands.release()
    assert world.api.wait_for_run(dag_id, run_id, timeout=120).state == "success"
    assert f"the end of {run_id}-one" in world.api.log_text(dag_id, run_id, "one")


def test_the_result_has_the_memory_that_an_accounting_knows_over_ssh(
    slurm_airflow: SlurmAirflow,
    slurm_cluster_factory: SlurmClusterFactory,
    sshd_factory: SshServerFactory,
    tmp_path: Path,
) -> None:
    cluster = slurm_cluster_factory(accounting=True)
    server = sshd_factory(SshdOptions(environment=dict(cluster.env)))
    login = {"host": server.host, "port": server.port, "login": server.user}
    for connection, fields, extra in (
        ("ssh", login, {"key_file": str(server.key), "known_hosts": str(server.known_hosts)}),
        ("slurm", {}, {"base_path": str(tmp_path), "ssh_conn_id": "accounted_ssh", "poll_interval": 2}),
    ):
        body = {"connection_id": f"accounted_{connection}", "conn_type": connection, "extra": json.dumps(extra)}
        slurm_airflow.api.request("POST", "/connections", body=body | fields)
    script = "#!/usr/bin/env python3\nimport time\nx = b'x' * (200 << 20)\ntime.sleep(3)"
    dag_id = slurm_airflow.deploy_tasks(
        f"SlurmOperator(task_id='hungry', script={script!r}, mem='1G', sbatch_opts=['--acctg-freq=task=1'])",
        slurm_conn_id="accounted_slurm",
    )
    run_id, state = slurm_airflow.run(dag_id)
    assert state == "success", slurm_airflow.api.log_text(dag_id, run_id, "hungry")
    result = slurm_airflow.api.xcom(dag_id, run_id, "hungry")
    assert result["max_rss"] is not None
    assert result["max_rss"] > 200 * 2**20
    assert (result["exit_code"], result["elapsed"] >= 1, bool(result["slurm_job"])) == (0, True, True)
