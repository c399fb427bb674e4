"""A real Airflow whose tasks run on a real Slurm, on this machine and over SSH."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.slurm_airflow.scene import Scene
from tests.support.experiments import Experiment
from tests.support.gates import GatedProgram
from tests.support.slurm_airflow import SlurmAirflow
from tools.cluster import SshdOptions, ThrowawaySlurm, ThrowawaySshd, why_no_sshd

_SITE = "https://cluster.example.org"


def _connections(base: Path, sshd: ThrowawaySshd) -> dict[str, str]:
    slurm = {"base_path": str(base), "poll_interval": 2}
    pages = {"job_url": f"{_SITE}/{{job}}", "file_url": f"{_SITE}{{path}}"}
    login = {"key_file": str(sshd.key), "known_hosts": str(sshd.known_hosts)}
    found = {
        "CLUSTER": {"conn_type": "slurm", "extra": slurm},
        "LINKED": {"conn_type": "slurm", "extra": {**slurm, **pages}},
        "REMOTE": {"conn_type": "slurm", "extra": {**slurm, "ssh_conn_id": "login"}},
        "LOGIN": {
            "conn_type": "ssh",
            "host": sshd.host,
            "port": sshd.port,
            "login": sshd.user,
            "extra": login,
        },
    }
    return {f"AIRFLOW_CONN_{name}": json.dumps(content) for name, content in found.items()}


@pytest.fixture(scope="session")
def gated_sbatch(tmp_path_factory: pytest.TempPathFactory) -> GatedProgram:
    """The `sbatch` of everybody in this folder, so that tests can kill those who call it while they do."""
    program = GatedProgram(tmp_path_factory.mktemp("gates"), "sbatch")
    program.write()
    return program


@pytest.fixture(scope="session")
def login(slurm_cluster: ThrowawaySlurm, gated_sbatch: GatedProgram) -> Iterator[ThrowawaySshd]:
    """The SSH server of the connection `remote`; whoever kills it starts it again."""
    if reason := why_no_sshd():
        pytest.skip(f"sshd {reason}")
    environment = {**slurm_cluster.env, "PATH": gated_sbatch.search_path}
    with ThrowawaySshd(SshdOptions(environment=environment)) as server:
        yield server


@pytest.fixture(scope="session")
def slurm_airflow(
    airflow_instance_factory: Any,
    slurm_cluster: ThrowawaySlurm,
    login: ThrowawaySshd,
    gated_sbatch: GatedProgram,
    tmp_path_factory: pytest.TempPathFactory,
) -> SlurmAirflow:
    """One Airflow for all tests that only add DAG files; whoever kills a part of it starts it again."""
    base = tmp_path_factory.mktemp("store")
    # Airflow takes five minutes to give up tasks of workers and schedulers that were killed, and half a minute to give
    # a killed triggerer's work to another one.
    patience = {
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
    }
    path = f"{gated_sbatch.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    overrides = {**slurm_cluster.env, "PATH": path, **_connections(base, login), **patience}
    instance = airflow_instance_factory("slurm", overrides=overrides)
    instance.start()
    return SlurmAirflow(instance, slurm_cluster, base)


@pytest.fixture(autouse=True)
def no_jobs_are_left(slurm_airflow: SlurmAirflow) -> Iterator[None]:
    """Each test starts with an empty queue."""
    yield
    slurm_airflow.cluster.cancel_all()


@pytest.fixture
def scene(
    slurm_airflow: SlurmAirflow, gated_sbatch: GatedProgram, login: ThrowawaySshd, tmp_path: Path
) -> Iterator[Scene]:
    """Whatever a test has killed is started again after it."""
    made = Scene(slurm_airflow, Experiment(tmp_path), gated_sbatch, login)
    yield made
    made.mend()
