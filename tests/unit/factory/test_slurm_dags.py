from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_repx import repx_dags
from airflow_provider_repx.operators.slurm import SlurmStageOperator
from airflow_provider_repx.triggers.slurm import StageRequest
from tests.support.experiments import Experiment
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.unit


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    connect(monkeypatch, base_path=str(tmp_path / "base"))
    made = Experiment(tmp_path)
    made.write()
    return made


def connect(monkeypatch: pytest.MonkeyPatch, **extra: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps({"conn_type": "slurm", "extra": extra}))


def dag(experiment: Experiment, **settings: Any) -> DAG:
    return repx_dags(lab=experiment.lab, slurm_conn_id="cluster", **settings)["repx_simulation"]


def stage(dag: DAG, task_id: str = "simulate") -> SlurmStageOperator:
    task = dag.get_task(task_id)
    assert isinstance(task, SlurmStageOperator)
    return task


def test_jobs_start_from_the_triggerer_and_draw_from_no_pool_of_airflow(experiment: Experiment) -> None:
    task = stage(dag(experiment))
    assert task.start_from_trigger
    assert (task.pool, task.pool_slots) == ("default_pool", 1)


@pytest.mark.parametrize(
    "settings", [{"start": "worker"}, {"default_args": {"on_success_callback": print}}], ids=["asked", "callback"]
)
def test_jobs_that_start_on_workers_wait_for_slots_of_a_pool(experiment: Experiment, settings: dict[str, Any]) -> None:
    task = stage(dag(experiment, **settings))
    assert not task.start_from_trigger
    assert task.pool == "repx_cluster"


def test_the_trigger_is_told_what_to_run_and_no_more(experiment: Experiment) -> None:
    task = stage(dag(experiment, partition="gpu"))
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(task.dag)).get_task("simulate")
    assert serialized.start_from_trigger
    [text] = serialized.start_trigger_args.trigger_kwargs["__var"].values()
    request = StageRequest.load(text)
    assert (request.stage, request.run, request.lab_path) == ("simulate", "simulation", experiment.lab)
    assert request.target.slurm.partition == "gpu"
    assert len(text) < 1000


def test_do_xcom_push_holds_for_tasks_that_start_from_the_triggerer(experiment: Experiment) -> None:
    assert stage(dag(experiment)).request.push
    assert not stage(dag(experiment, default_args={"do_xcom_push": False})).request.push


def test_the_pools_of_a_cluster_are_made_before_a_job_asks_for_a_slot(experiment: Experiment) -> None:
    task: Any = dag(experiment, start="worker").get_task("open_lab")
    assert task.pools == [["repx_cluster", 128, "CPUs of the default partition of target cluster: not known"]]


def test_a_lab_is_shipped_before_its_jobs_to_a_target_on_another_machine(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "sync" not in dag(experiment).task_ids
    connect(monkeypatch, base_path="/scratch", ssh_conn_id="login")
    remote = dag(experiment)
    assert remote.get_task("sync").upstream_task_ids == {"open_lab"}
    # Each by itself: a task before it may have nothing to do.
    assert all("sync" in remote.get_task(task_id).upstream_task_ids for task_id in ("prepare", "simulate", "measure"))
    assert stage(remote).request.sync_task == "sync"


def test_a_stage_may_be_called_like_the_task_that_ships_the_lab(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, base_path="/scratch", ssh_conn_id="login")
    write_lab(experiment.lab, [RunSpec("simulation", [JobSpec(job_id("sync-1.0"), extra={"stage": "sync"})])])
    assert {"sync", "stage_sync"} <= set(dag(experiment).task_ids)


def test_dags_are_byte_stable(experiment: Experiment) -> None:
    first, second = (json.dumps(DagSerialization.to_dict(dag(experiment)), sort_keys=True) for _ in range(2))
    assert first == second
