"""What a connection of type slurm says about a real cluster, here and over SSH."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmJob, SlurmSettings
from airflow_provider_repx.execution.slurm.directives import Directives
from airflow_provider_repx.execution.store import Claimant
from airflow_provider_repx.execution.transport import LocalTransport
from airflow_provider_repx.execution.units.command import command_runner, prepare_command
from airflow_provider_repx.hooks.slurm import SlurmHook
from airflow_provider_repx.triggers.slurm.orphans import airflow_label, end_orphans
from airflow_provider_repx.triggers.slurm.questions import RunKey
from tools.cluster import ThrowawaySlurm, ThrowawaySshd

pytestmark = [pytest.mark.integration, pytest.mark.slurm]


def connect(monkeypatch: pytest.MonkeyPatch, cluster: ThrowawaySlurm, **extra: Any) -> SlurmHook:
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps({"conn_type": "slurm", "extra": extra}))
    return SlurmHook("cluster")


def login(monkeypatch: pytest.MonkeyPatch, sshd: ThrowawaySshd, **changes: Any) -> None:
    extra = {"key_file": str(sshd.key), "known_hosts": str(sshd.known_hosts), "conn_timeout": 10}
    told = {"conn_type": "ssh", "host": sshd.host, "port": sshd.port, "login": sshd.user, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LOGIN", json.dumps(told | changes))


@pytest.mark.ssh
@pytest.mark.parametrize("way", ["here", "over ssh"])
def test_a_good_connection(
    monkeypatch: pytest.MonkeyPatch, slurm_cluster: ThrowawaySlurm, sshd: ThrowawaySshd, tmp_path: Path, way: str
) -> None:
    login(monkeypatch, sshd)
    there = {} if way == "here" else {"ssh_conn_id": "login"}
    hook = connect(monkeypatch, slurm_cluster, base_path=str(tmp_path / "new"), partition="gpu", **there)
    good, told = hook.test_connection()
    assert good, told
    assert "compute, gpu, main; default: main" in told
    assert list((tmp_path / "new").iterdir()) == []
    gpu = hook.partitions()["gpu"]
    assert (gpu.capacity.cpus, gpu.is_default) == (128, False)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({}, "base_path: is not set"),
        ({"base_path": "/proc/repx"}, "Base path: /proc/repx on this machine cannot be written"),
        ({"base_path": "/tmp", "partition": "gpu,nowhere"}, "none called nowhere; it has: compute, gpu, main"),
        ({"base_path": "/tmp", "ssh_conn_id": "nowhere"}, "connection 'nowhere': there is none"),
    ],
)
def test_what_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, slurm_cluster: ThrowawaySlurm, extra: dict[str, str], told: str
) -> None:
    good, said = connect(monkeypatch, slurm_cluster, **extra).test_connection()
    assert not good
    assert told in said


def test_a_machine_without_slurm(monkeypatch: pytest.MonkeyPatch, slurm_cluster: ThrowawaySlurm) -> None:
    hook = connect(monkeypatch, slurm_cluster, base_path="/tmp")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert hook.test_connection()[1].startswith("No Slurm: sbatch cannot be run on this machine")


@pytest.mark.ssh
def test_machines_that_cannot_be_reached_or_trusted(
    monkeypatch: pytest.MonkeyPatch, slurm_cluster: ThrowawaySlurm, sshd: ThrowawaySshd, tmp_path: Path
) -> None:
    hook = connect(monkeypatch, slurm_cluster, base_path=str(tmp_path), ssh_conn_id="login")
    login(monkeypatch, sshd, port=1)
    assert hook.test_connection()[1].startswith("Not reachable: ")
    (tmp_path / "empty").touch()
    extra = {"key_file": str(sshd.key), "known_hosts": str(tmp_path / "empty")}
    login(monkeypatch, sshd, extra=extra)
    assert hook.test_connection()[1].startswith("Host key: ")


def test_jobs_of_tasks_that_have_ended_are_ended_and_no_others(
    monkeypatch: pytest.MonkeyPatch, slurm_cluster: ThrowawaySlurm, tmp_path: Path
) -> None:
    for name, value in slurm_cluster.env.items():
        monkeypatch.setenv(name, value)
    base = tmp_path / "a base"
    mine = Claimant("dag", "manual", "task", 0, label=airflow_label())
    states: dict[str, str | None] = {"task_0": "failed", "task_1": "deferred", "task_2": None}
    claimants = [replace(mine, map_index=index) for index in range(4)]
    claimants.append(replace(mine, label="Airflow of somebody else"))

    async def states_of(run: RunKey, task_ids: object) -> dict[str, str | None]:
        assert (run, task_ids) == (RunKey("dag", "manual"), ["task"])
        return states

    async def scenario() -> list[Claimant]:
        transport = LocalTransport()
        cluster = SlurmCluster(SlurmSettings(base, last_poll=1.0), transport)
        running = [asyncio.create_task(cluster.run(job)) for job in map(_sleeper, claimants)]
        while len(slurm_cluster.run("squeue", "-h", "-r").stdout.splitlines()) < len(claimants):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.1)
        other = SlurmCluster(SlurmSettings(base, last_poll=1.0), transport)
        ended = await end_orphans(other, transport, base, states_of)
        done, pending = await asyncio.wait(running, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < len(ended):
            more, pending = await asyncio.wait(pending, timeout=60, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        assert {task.result().status for task in done} == {"cancelled"}
        assert len(pending) == 3
        await cluster.close()
        await other.close()
        return ended

    def _sleeper(claimant: Claimant) -> SlurmJob:
        # The claimant of another Airflow has a folder of its own, as another task has.
        told = claimant if claimant.label == mine.label else replace(claimant, task_id="other")
        prepared = prepare_command(["sleep", "600"], {}, base, told)
        prepared.executable.parent.mkdir(parents=True, exist_ok=True)
        prepared.executable.write_bytes(command_runner())
        prepared.executable.chmod(0o755)
        return SlurmJob(
            name=str(claimant),
            paths=prepared.paths,
            executable=prepared.executable,
            inputs=prepared.inputs,
            parameters=prepared.parameters,
            directives=Directives(),
            claimant=claimant,
            files=prepared.files,
        )

    try:
        # The fourth is not in Airflow's answer: its DAG run was deleted.
        assert set(asyncio.run(scenario())) == {claimants[0], claimants[3]}
    finally:
        slurm_cluster.cancel_all()
