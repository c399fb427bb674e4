from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx import repx_dags
from airflow_provider_repx.errors import TargetError, UnsupportedTargetError
from airflow_provider_repx.factory import LabSettings
from airflow_provider_repx.factory.target import target_of
from airflow_provider_repx.hooks.capacities import ClusterCapacity, dump_capacities
from airflow_provider_repx.operators.job import RepxJobOperator
from airflow_provider_repx.targets import Capacity, SlurmDefaults
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.unit


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return write_lab(tmp_path / "lab", [RunSpec("r", [JobSpec(job_id("a-1.1"))])])


def config(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return file


LOCAL = '[targets.local]\nbase_path = "/srv/repx"\ndefault_scheduler = "local"\n'


def test_the_base_path_comes_from_repx_own_configuration(lab: Path, tmp_path: Path) -> None:
    dags = repx_dags(lab=lab, config_file=config(tmp_path, LOCAL))
    task = dags["repx_r"].get_task("a")
    assert isinstance(task, RepxJobOperator)
    assert task.target.base_path == Path("/srv/repx")
    dags = repx_dags(lab=lab, config_file=config(tmp_path, LOCAL), base_path=tmp_path)
    assert dags["repx_r"].get_task("a").target.base_path == tmp_path


def test_containers_are_refused_and_not_run_natively(lab: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedTargetError, match="bwrap"):
        repx_dags(lab=lab, config_file=config(tmp_path, LOCAL + 'default_execution_type = "bwrap"'))


CLUSTER = LOCAL + '[targets.cluster]\naddress = "me@hpc"\nbase_path = "/x"\ndefault_scheduler = "slurm"\n'


def settings(lab: Path, **given: Any) -> LabSettings:
    return LabSettings(lab=lab, **given)


def test_a_cluster_of_repx_own_configuration(lab: Path, tmp_path: Path) -> None:
    target = target_of(settings(lab, config_file=config(tmp_path, CLUSTER), target="cluster", partition="gpu"))
    assert (target.scheduler, target.address, target.base_path) == ("slurm", "me@hpc", Path("/x"))
    assert target.slurm == SlurmDefaults(partition="gpu")
    assert target.capacity is None
    assert target.is_remote


def test_a_connection_describes_a_cluster(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, base_path="/scratch/repx", partition="main", account="ising", qos="", ssh_conn_id="login")
    target = target_of(settings(lab, slurm_conn_id="my_cluster", account="potts"))
    assert (target.name, target.scheduler, target.base_path) == ("my_cluster", "slurm", Path("/scratch/repx"))
    assert (target.connection, target.ssh_connection, target.is_remote) == ("my_cluster", "login", True)
    assert target.slurm == SlurmDefaults(partition="main", account="potts")


def test_a_connection_wins_over_repx_own_configuration(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, partition="main")
    known = {"config_file": config(tmp_path, CLUSTER), "target": "cluster", "slurm_conn_id": "my_cluster"}
    target = target_of(settings(lab, **known))
    assert (target.name, target.base_path, target.is_remote) == ("cluster", Path("/x"), False)
    connect(monkeypatch, base_path="/y")
    assert target_of(settings(lab, **known)).base_path == Path("/y")
    assert target_of(settings(lab, base_path="/z", **known)).base_path == Path("/z")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "connection 'my_cluster': base_path: is not set"),
        ({"base_path": "x"}, "base_path: .*relative"),
        ({"base_path": "/x", "poll_interval": "often"}, "poll_interval"),
        ({"base_path": "/x", "umask": "rwx"}, "umask"),
    ],
)
def test_a_wrong_connection_is_told_by_field(
    lab: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], told: str
) -> None:
    connect(monkeypatch, **fields)
    with pytest.raises(TargetError, match=told):
        target_of(settings(lab, slurm_conn_id="my_cluster"))


def test_a_missing_connection_is_named(lab: Path) -> None:
    with pytest.raises(TargetError, match="connection 'elsewhere': there is none"):
        target_of(settings(lab, slurm_conn_id="elsewhere"))


def test_discovered_capacities_are_used_where_nothing_is_configured(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, base_path="/x")
    found = ClusterCapacity(default="main", partitions={"main": Capacity(cpus=8), "gpu": Capacity(cpus=4)})
    monkeypatch.setenv("AIRFLOW_VAR_REPX_CAPACITIES", dump_capacities({"my_cluster": found}))
    target = target_of(settings(lab, slurm_conn_id="my_cluster", partitions={"gpu": {"cpus": 2, "memory": "4G"}}))
    assert target.capacity == Capacity(cpus=8)
    assert target.partitions == {"main": Capacity(cpus=8), "gpu": Capacity(cpus=2, memory=4 * 2**30)}


def test_broken_capacities_say_what_to_do(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, base_path="/x")
    monkeypatch.setenv("AIRFLOW_VAR_REPX_CAPACITIES", "[1]")
    with pytest.raises(TargetError, match=r"Variable 'repx_capacities' .*--discover"):
        target_of(settings(lab, slurm_conn_id="my_cluster"))


def connect(monkeypatch: pytest.MonkeyPatch, **extra: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MY_CLUSTER", json.dumps({"conn_type": "slurm", "extra": extra}))


def test_an_unknown_target_is_told_from_the_known_ones(lab: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="'clutser'; it has: local"):
        repx_dags(lab=lab, config_file=config(tmp_path, LOCAL), target="clutser")


def test_a_relative_base_path_is_refused(lab: Path) -> None:
    with pytest.raises(TargetError, match="relative"):
        repx_dags(lab=lab, base_path="store")


def test_capacity_can_be_given(lab: Path, tmp_path: Path) -> None:
    task = repx_dags(lab=lab, base_path=tmp_path, cpus=3, memory="5G")["repx_r"].get_task("a")
    assert (task.target.capacity.cpus, task.target.capacity.memory) == (3, 5 * 2**30)
