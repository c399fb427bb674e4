"""A real Airflow whose tasks run on a real Slurm, on this machine and over SSH."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.slurm_airflow import SlurmAirflow
from tools.cluster import ThrowawaySlurm, ThrowawaySshd


def _connections(base: Path, sshd: ThrowawaySshd) -> dict[str, str]:
    slurm = {"base_path": str(base), "poll_interval": 2}
    login = {"key_file": str(sshd.key), "known_hosts": str(sshd.known_hosts)}
    found = {
        "CLUSTER": {"conn_type": "slurm", "extra": slurm},
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
def slurm_airflow(
    airflow_instance_factory: Any,
    slurm_cluster: ThrowawaySlurm,
    sshd: ThrowawaySshd,
    tmp_path_factory: pytest.TempPathFactory,
) -> SlurmAirflow:
    """One Airflow for all tests that only add DAG files; whoever kills a part of it starts it again."""
    base = tmp_path_factory.mktemp("store")
    # Airflow takes five minutes to give up tasks of workers and schedulers that were killed.
    patience = {
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
    }
    overrides = {**slurm_cluster.env, **_connections(base, sshd), **patience}
    instance = airflow_instance_factory("slurm", overrides=overrides)
    instance.start()
    return SlurmAirflow(instance, slurm_cluster, base)


@pytest.fixture(autouse=True)
def no_jobs_are_left(slurm_airflow: SlurmAirflow) -> Iterator[None]:
    """Each test starts with an empty queue."""
    yield
    slurm_airflow.cluster.cancel_all()
