"""`airflow repx …` about runs whose jobs are on Slurm, on this machine and over SSH."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_server import CommandServer
from tests.support.experiments import Experiment
from tests.support.labs import RunSpec, write_lab
from tests.support.slurm_airflow import SlurmAirflow
from tools.airflow_local import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.ssh]

LABELS = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def server(slurm_airflow: SlurmAirflow) -> Iterator[CommandServer]:
    with CommandServer(slurm_airflow.airflow.environment(), slurm_airflow.airflow.home) as running:
        yield running


@dataclass(frozen=True)
class Shell:
    """Commands about a lab of one stage with four jobs, which reach the cluster through a connection."""

    world: SlurmAirflow
    experiment: Experiment
    server: CommandServer
    connection: str

    def deploy(self) -> tuple[str, dict[str, str]]:
        """Its name, and the job ids by label."""
        jobs = {label: self.experiment.job("simulate", label, params={"point": label}) for label in LABELS}
        write_lab(self.experiment.lab, [RunSpec("simulation", list(jobs.values()))])
        dag_id = self.world.deploy_lab(self.experiment, connection=self.connection)
        return dag_id.removesuffix("_simulation"), {label: job.id for label, job in jobs.items()}

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = self.server.call("repx", *arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), f"{arguments}: {done}"
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--output", "json", code=code))

    def statuses(self, name: str) -> list[str]:
        return [job["status"] for job in self.json("list", "jobs", "simulation", "--lab", name)]


@pytest.fixture
def shell(request: pytest.FixtureRequest, slurm_airflow: SlurmAirflow, server: CommandServer, tmp_path: Path) -> Shell:
    return Shell(slurm_airflow, Experiment(tmp_path), server, getattr(request, "param", "remote"))


@pytest.mark.full
def test_a_run_is_followed_and_looked_at(shell: Shell) -> None:
    name, jobs = shell.deploy()
    shell.experiment.fail("c")
    output = shell("run", "simulation", "--wait", "--continue-on-failure", "--lab", name, code=1)
    assert "simulation: failed, 4 jobs: 3 succeeded, 1 failed" in output
    assert "list jobs simulation --status failed" in output
    (failed,) = shell.json("list", "jobs", "--status", "failed", "--lab", name)
    assert failed["job"] == jobs["c"]
    shown = shell.json("show", "job", jobs["c"][:12], "--lab", name)
    assert (shown["status"], shown["last_attempt"]["exit_code"], shown["claimed_by"]) == ("failed", 3, None)
    assert shown["last_attempt"]["node"] in {"cpu1", "cpu2", "gpu1", "gpu2"}
    assert shown["last_attempt"]["slurm_job"]
    assert "no luck with c" in shell("log", jobs["c"], "--stderr", "--lab", name)
    status = shell.json("status", "simulation", "--lab", name)
    assert status["state"] == "failed"
    assert [(stage["succeeded"], stage["failed"]) for stage in status["stages"]] == [(3, 1)]
    assert shell("show", "output", jobs["a"], "data.txt", "--lab", name) == "a\n"


@pytest.mark.full
@pytest.mark.parametrize("shell", ["cluster", "remote"], indirect=True)
def test_cancel_ends_exactly_the_jobs_that_are_named(shell: Shell) -> None:
    name, jobs = shell.deploy()
    for label in LABELS:
        shell.experiment.hold(label)
    shell("run", "simulation", "--lab", name)
    wait_until(lambda: set(shell.experiment.executions()) == set(LABELS), timeout=90, what="all jobs to run")
    assert shell.statuses(name) == ["running"] * 4
    assert "claimed by" in shell("show", "job", jobs["b"], "--lab", name)
    arrays = shell.world.cluster.run("squeue", "-h", "-o", "%F").stdout.split()
    (cancelled,) = shell.json("cancel", "simulation", "--jobs", jobs["b"], "--jobs", jobs["c"], "--wait", "--lab", name)
    assert cancelled["tasks"] == 2
    wait_until(lambda: len(shell.world.queue("RUNNING")) == 2, timeout=60, what="two jobs to be left")
    # Siblings in the same arrays run on.
    left = shell.world.cluster.run("squeue", "-h", "-t", "RUNNING", "-o", "%F").stdout.split()
    assert set(left) <= set(arrays)
    assert shell.statuses(name) == ["running", "pending", "pending", "running"]
    (shell.experiment.folder / "hold-a").unlink()
    wait_until(lambda: shell.statuses(name)[0] == "succeeded", timeout=60, what="a sibling to end")
    # The rest, as a whole.
    assert shell.json("cancel", "simulation", "--wait", "--lab", name)[0]["tasks"] > 0
    shell.world.wait_until_queue_is_empty()
    assert shell.statuses(name) == ["succeeded", "pending", "pending", "pending"]
    assert dict(shell.experiment.executions()) == dict.fromkeys(LABELS, 1)
    assert shell.json("status", "simulation", "--lab", name)["state"] == "failed"


def test_what_clusters_offer_is_discovered(shell: Shell) -> None:
    shell.deploy()
    found = shell.json("pools", "--discover")
    partitions = {(item["target"], item["partition"]): item for item in found["discovered"]}
    assert partitions["remote", "gpu"]["cpus"] == 128
    assert partitions["remote", "main"]["default"] is True
    assert found["failed"] == []
    try:
        applied = shell("pools", "--discover", "--apply")
        assert "target remote: partition main (default): 256 CPUs" in applied
        assert "up to date" in shell("pools", "--discover")
    finally:
        shell.server.call("variables", "delete", "repx_capacities")
