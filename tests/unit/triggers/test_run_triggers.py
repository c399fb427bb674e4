"""What ends the waiting for a run, and for a DAG run. The store is real."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.serialization.serialized_objects import BaseSerialization

from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.lab import read_lab
from airflow_provider_repx.targets import local_target
from airflow_provider_repx.triggers import run as module
from airflow_provider_repx.triggers.run import DagRunEndTrigger, RunDoneTrigger
from tests.support.experiments import Experiment
from tests.support.supervisor import Run, Supervisor

pytestmark = pytest.mark.unit

INTERVAL = 0.01


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    made = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
    return made


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    made = Experiment(tmp_path)
    made.write()
    return made


def trigger(experiment: Experiment, **more: Any) -> RunDoneTrigger:
    lab = read_lab(experiment.lab)
    return RunDoneTrigger(
        lab_name="lab",
        lab_path=str(lab.path),
        lab_id=lab.lab_id,
        run="simulation",
        target=local_target(experiment.base).model_dump_json(exclude_defaults=True),
        poll_interval=INTERVAL,
        **more,
    )


def event(waiting: Any) -> Any:
    async def first() -> Any:
        async for found in waiting.run():
            return found.payload
        return None

    return asyncio.run(asyncio.wait_for(first(), timeout=20))


def finish(experiment: Experiment, jobs: Any) -> None:
    store = OutputStore(experiment.base)
    for job in jobs:
        store.job(job).success.parent.mkdir(parents=True, exist_ok=True)
        store.job(job).success.touch()


def test_only_what_is_missing_is_looked_at_again(
    experiment: Experiment, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = list(read_lab(experiment.lab).run("simulation").jobs)
    looked_at: list[int] = []
    look = module.unfinished_jobs

    def counted(asked: Any, store: OutputStore) -> Any:
        looked_at.append(len(asked))
        finish(experiment, sorted(asked)[: len(jobs) // 2 + 1])
        return look(asked, store)

    monkeypatch.setattr(module, "unfinished_jobs", counted)
    assert event(trigger(experiment)) == {"status": "done", "jobs": len(jobs)}
    assert looked_at == [len(jobs), len(jobs) - (len(jobs) // 2 + 1)]


def test_the_end_of_the_watched_runs_is_news(experiment: Experiment, supervisor: Supervisor) -> None:
    supervisor.runs["up", "a"] = Run("success")
    supervisor.runs["up", "other"] = Run("running")
    waiting = trigger(experiment, dag_id="up", watched=["a"])
    assert event(waiting) == {"status": "look", "watched": ["a"]}


def test_data_counts_more_than_the_end_of_a_run(experiment: Experiment, supervisor: Supervisor) -> None:
    supervisor.runs["up", "a"] = Run("failed")
    finish(experiment, read_lab(experiment.lab).run("simulation").jobs)
    assert event(trigger(experiment, dag_id="up", watched=["a"]))["status"] == "done"


def test_a_new_run_is_news_where_none_is_watched(
    experiment: Experiment, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor.runs["up", "foreign"] = Run("running")
    steps = iter([lambda: supervisor.runs["up", "foreign"].end("success"), lambda: start("mine")])

    def start(run_id: str) -> None:
        supervisor.runs["up", run_id] = Run("queued")

    counted: list[int] = []
    count = supervisor.GetDRCount

    def then_something_happens(message: Any) -> Any:
        answer = count(message)
        counted.append(answer.count)
        next(steps, lambda: None)()
        return answer

    monkeypatch.setattr(supervisor, "GetDRCount", then_something_happens)
    assert event(trigger(experiment, dag_id="up", ignored=1)) == {"status": "look", "watched": []}
    assert counted == [1, 0, 1], "one that ended and one that began leave the number as it was"


def test_trouble_with_airflow_does_not_end_the_wait(
    experiment: Experiment, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor.runs["up", "a"] = Run("success")
    troubles = iter([ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500})] * 2)
    send = supervisor.send

    def busy(message: Any) -> Any:
        if trouble := next(troubles, None):
            raise AirflowRuntimeError(trouble)
        return send(message)

    monkeypatch.setattr(supervisor, "send", busy)
    assert event(trigger(experiment, dag_id="up", watched=["a"]))["status"] == "look"
    troubles = iter([ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=None)])
    assert event(DagRunEndTrigger(dag_id="up", run_id="a", poll_interval=INTERVAL)) == {"state": "success"}


def test_another_lab_ends_the_wait(experiment: Experiment, supervisor: Supervisor) -> None:
    waiting = trigger(experiment)
    experiment.write(version="2")
    found = event(waiting)
    assert (found["status"], found["temporary"]) == ("error", False)
    assert "trigger a new DAG run" in found["message"]


@pytest.mark.parametrize("state", ["success", "failed"])
def test_the_end_of_a_dag_run_is_told_with_its_state(
    supervisor: Supervisor, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor.runs["dag", "run"] = Run("running")
    waiting = DagRunEndTrigger(dag_id="dag", run_id="run", poll_interval=INTERVAL)

    state_of = supervisor.GetDagRunState

    def ends_after_the_first_look(message: Any) -> Any:
        answer = replace(state_of(message))
        supervisor.runs["dag", "run"].end(state)
        return answer

    monkeypatch.setattr(supervisor, "GetDagRunState", ends_after_the_first_look)
    assert event(waiting) == {"state": state}
    assert len(supervisor.asked) == 2


def test_a_deleted_dag_run_has_no_state(supervisor: Supervisor) -> None:
    assert event(DagRunEndTrigger(dag_id="dag", run_id="gone", poll_interval=INTERVAL)) == {"state": None}


def test_another_triggerer_can_go_on(experiment: Experiment) -> None:
    for made in (
        trigger(experiment, dag_id="up", watched=["a"], ignored=2),
        DagRunEndTrigger(dag_id="dag", run_id="run", poll_interval=2),
    ):
        path, values = made.serialize()
        assert path == f"airflow_provider_repx.triggers.run.{type(made).__name__}"
        copied = type(made)(**BaseSerialization.deserialize(BaseSerialization.serialize(values)))
        assert copied.serialize() == (path, values)
