"""What a dependent run does about an upstream run whose jobs are not all done. The store and its jobs are real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, TaskDeferred
from airflow.sdk.execution_time import comms, task_runner

from airflow_provider_repx import repx_dags
from airflow_provider_repx.dag_runs import STARTED_KEY, derived_run_id
from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.lab import read_lab
from airflow_provider_repx.links import UpstreamRunLink
from airflow_provider_repx.sensors.run import RepxRunSensor
from airflow_provider_repx.triggers.run import RunDoneTrigger
from tests.support.experiments import Experiment
from tests.support.supervisor import Instance, Run, Supervisor

pytestmark = pytest.mark.unit

UPSTREAM = "repx_simulation"


class Bench:
    """A sensor of run `analysis` that waits for run `simulation`, and everything around it."""

    def __init__(self, folder: Path, supervisor: Supervisor) -> None:
        self.experiment = Experiment(folder)
        self.experiment.write(seeds=1, temperatures=1)
        self.lab = read_lab(self.experiment.lab)
        self.supervisor = supervisor
        self.instance = Instance(supervisor, self.lab.lab_id, "repx_analysis", "wait_for_simulation")
        self.params: dict[str, Any] = {"on_missing": "trigger"}
        self.own_run_id = derived_run_id(self.lab.lab_id, "repx_analysis", "manual")

    def sensor(self, **settings: Any) -> RepxRunSensor:
        dags = repx_dags(lab=self.experiment.lab, base_path=self.experiment.base, **settings)
        task = dags["repx_analysis"].get_task("wait_for_simulation")
        assert isinstance(task, RepxRunSensor)
        return task

    @property
    def context(self) -> Any:
        return {"ti": self.instance, "params": self.params, "dag_run": None}

    def execute(self) -> RunDoneTrigger | None:
        """Run the worker half; the trigger that it waits with, if it does."""
        return self._half(lambda sensor: sensor.execute(self.context))

    def resume(self, trigger: RunDoneTrigger) -> RunDoneTrigger | None:
        event = {"status": "look", "watched": trigger.watched}
        return self._half(lambda sensor: sensor.execute_complete(self.context, event, began=None))

    def _half(self, work: Any) -> RunDoneTrigger | None:
        sensor = self.sensor()
        try:
            work(sensor)
        except TaskDeferred as deferred:
            trigger: RunDoneTrigger = deferred.trigger
            self.link = UpstreamRunLink().get_link(sensor, ti_key=None)  # type: ignore[arg-type]
            return trigger
        return None

    def finish(self) -> None:
        """Mark every job of the upstream run as done."""
        store = OutputStore(self.experiment.base)
        for job in self.lab.run("simulation").jobs:
            marker = store.job(job).success
            marker.parent.mkdir(parents=True)
            marker.touch()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return Bench(tmp_path, supervisor)


def test_data_alone_satisfies_it_and_nobody_is_asked(bench: Bench) -> None:
    bench.finish()
    bench.supervisor.runs[UPSTREAM, "old"] = Run("failed", opened=bench.lab.lab_id)
    assert bench.execute() is None
    assert not bench.supervisor.asked


def test_with_nobody_at_work_it_starts_the_upstream_run_for_this_lab(bench: Bench) -> None:
    bench.params["continue_on_failure"] = False
    bench.params["force"] = True
    trigger = bench.execute()
    assert trigger is not None
    (run_id,) = trigger.watched
    assert run_id == bench.own_run_id
    started = bench.supervisor.runs[UPSTREAM, run_id]
    assert started.conf == {"lab_id": bench.lab.lab_id, "on_missing": "trigger", "continue_on_failure": False}
    assert "repx_analysis" in str(started.note)
    assert bench.lab.lab_id in str(started.note)
    assert bench.link.endswith(f"/dags/repx_simulation/runs/{run_id}")
    assert bench.instance.pushed[STARTED_KEY] == {"dag_id": UPSTREAM, "run_id": run_id}


def test_a_try_after_a_crash_finds_the_run_that_it_started(bench: Bench) -> None:
    bench.execute()
    trigger = bench.execute()
    assert trigger is not None
    assert trigger.watched == [bench.own_run_id]
    assert len(bench.supervisor.runs) == 1
    assert bench.supervisor.runs[UPSTREAM, bench.own_run_id].cleared == 0


@pytest.mark.parametrize("on_missing", ["trigger", "wait", "fail"])
def test_a_run_under_way_is_waited_for(bench: Bench, on_missing: str) -> None:
    bench.params["on_missing"] = on_missing
    bench.supervisor.runs[UPSTREAM, "other"] = Run("running", opened="another-lab")
    bench.supervisor.runs[UPSTREAM, "mine"] = Run("running", opened=bench.lab.lab_id)
    bench.supervisor.runs[UPSTREAM, "new"] = Run("queued")
    bench.supervisor.runs[UPSTREAM, "foreign"] = Run("queued", conf={"lab_id": "another-lab"})
    trigger = bench.execute()
    assert trigger is not None
    assert (trigger.watched, trigger.ignored) == (["mine", "new"], 2)
    assert STARTED_KEY not in bench.instance.pushed, "what others have started is not this one's to stop"
    assert len(bench.supervisor.runs) == 4


def test_a_run_that_stands_still_since_its_dag_is_paused_is_named(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.supervisor.runs[UPSTREAM, "mine"] = Run("queued")
    bench.supervisor.paused.add(UPSTREAM)
    assert bench.execute() is not None
    assert f"`airflow dags unpause {UPSTREAM}`" in caplog.text


def test_a_run_of_which_only_some_tasks_were_cleared_is_under_way(bench: Bench) -> None:
    bench.supervisor.runs[UPSTREAM, "cleared"] = Run("running", opened=bench.lab.lab_id, tasks={"summary": "failed"})
    trigger = bench.execute()
    assert trigger is not None
    assert trigger.watched == ["cleared"]


def test_it_waits_for_whoever_makes_the_data(bench: Bench) -> None:
    bench.params["on_missing"] = "wait"
    bench.supervisor.runs[UPSTREAM, "foreign"] = Run("running", opened="another-lab")
    trigger = bench.execute()
    assert trigger is not None
    assert (trigger.watched, trigger.ignored, trigger.dag_id) == ([], 1, UPSTREAM)
    assert bench.link.endswith("/dags/repx_simulation")


def test_it_fails_at_once_where_asked(bench: Bench) -> None:
    bench.params["on_missing"] = "fail"
    with pytest.raises(AirflowFailException, match="no DAG run of repx_simulation is under way"):
        bench.execute()


def test_the_configured_choice_counts_where_the_form_has_none(bench: Bench) -> None:
    bench.params.clear()
    sensor = bench.sensor(on_missing="fail")
    with pytest.raises(AirflowFailException, match="is under way"):
        sensor.execute(bench.context)
    bench.params["on_missing"] = "hope"
    with pytest.raises(AirflowFailException, match="'hope': choose one of trigger, wait, fail"):
        sensor.execute(bench.context)


@pytest.mark.parametrize("on_missing", ["trigger", "wait", "fail"])
def test_when_the_awaited_run_fails_it_fails_with_what_is_lacking(bench: Bench, on_missing: str) -> None:
    bench.params["on_missing"] = on_missing
    bench.supervisor.runs[UPSTREAM, "mine"] = Run("running", opened=bench.lab.lab_id)
    trigger = bench.execute()
    assert trigger is not None
    bench.supervisor.runs[UPSTREAM, "mine"].end("failed")
    store = OutputStore(bench.experiment.base)
    culprit = next(job for job in bench.lab.run("simulation").jobs if "-simulate-" in job)
    store.job(culprit).fail.parent.mkdir(parents=True)
    store.job(culprit).fail.touch()
    with pytest.raises(AirflowFailException) as failure:
        bench.resume(trigger)
    text = str(failure.value)
    assert "DAG run mine of repx_simulation" in text
    assert "/dags/repx_simulation/runs/mine" in text
    assert "3 jobs: 1 failed, 2 pending" in text
    assert f"failed: {culprit} (" in text
    assert "temperature=0.5" in text
    assert str(store.job(culprit).stderr) in text


def test_a_failed_run_that_was_cleared_meanwhile_is_waited_for(bench: Bench) -> None:
    bench.supervisor.runs[UPSTREAM, "mine"] = Run("running", opened=bench.lab.lab_id)
    trigger = bench.execute()
    assert trigger is not None
    bench.supervisor.runs[UPSTREAM, "mine"].end("failed")
    bench.supervisor.runs[UPSTREAM, "mine"].state = "queued"
    again = bench.resume(trigger)
    assert again is not None
    assert again.watched == ["mine"]


def test_clearing_the_sensor_lets_the_run_that_it_started_begin_again(bench: Bench) -> None:
    trigger = bench.execute()
    assert trigger is not None
    bench.supervisor.runs[UPSTREAM, bench.own_run_id].end("failed")
    with pytest.raises(AirflowFailException, match="lets that DAG run begin again"):
        bench.resume(trigger)
    again = bench.execute()
    assert again is not None
    assert bench.supervisor.runs[UPSTREAM, bench.own_run_id].cleared == 1


def test_a_failure_of_another_lab_or_of_long_ago_does_not_count(bench: Bench) -> None:
    bench.supervisor.runs[UPSTREAM, "long ago"] = Run("failed", opened=bench.lab.lab_id, tasks={"summary": "failed"})
    bench.supervisor.runs[UPSTREAM, "rebuilt"] = Run("queued")
    trigger = bench.execute()
    assert trigger is not None
    assert trigger.watched == ["rebuilt"]
    rebuilt = bench.supervisor.runs[UPSTREAM, "rebuilt"]
    rebuilt.opened = "another-lab"
    rebuilt.end("failed")
    again = bench.resume(trigger)
    assert again is not None
    assert again.watched == [bench.own_run_id]


def test_a_run_of_some_jobs_satisfies_nothing(bench: Bench) -> None:
    bench.supervisor.runs[UPSTREAM, "subset"] = Run("running", opened=bench.lab.lab_id)
    trigger = bench.execute()
    assert trigger is not None
    bench.supervisor.runs[UPSTREAM, "subset"].end("success")
    again = bench.resume(trigger)
    assert again is not None
    assert again.watched == [bench.own_run_id]
    bench.supervisor.runs[UPSTREAM, bench.own_run_id].end("success")
    with pytest.raises(AirflowFailException, match="succeeded, yet jobs of run simulation are not done"):
        bench.resume(again)


def test_a_paused_upstream_is_named(bench: Bench) -> None:
    bench.supervisor.paused.add(UPSTREAM)
    with pytest.raises(AirflowFailException, match="airflow dags unpause repx_simulation"):
        bench.execute()
    bench.supervisor.unknown.add(UPSTREAM)
    with pytest.raises(AirflowFailException, match="Airflow knows no DAG repx_simulation"):
        bench.execute()
    assert not bench.supervisor.runs


def test_other_trouble_with_airflow_is_not_swallowed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType  # noqa: PLC0415 - only here

    def refuse(_message: Any) -> Any:
        response = comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500})
        raise AirflowRuntimeError(response)

    monkeypatch.setattr(bench.supervisor, "GetDag", refuse)
    with pytest.raises(AirflowRuntimeError):
        bench.execute()


def test_it_fails_for_good_on_a_bad_lab_and_tries_again_on_a_bad_store(bench: Bench) -> None:
    with pytest.raises(AirflowFailException, match="torn"):
        bench.sensor().execute_complete(bench.context, {"status": "error", "message": "torn"})
    event = {"status": "error", "message": "stale file handle", "temporary": True}
    with pytest.raises(StoreError, match="stale file handle"):
        bench.sensor().execute_complete(bench.context, event)


def test_its_time_limit_covers_all_of_the_waiting(bench: Bench) -> None:
    sensor = bench.sensor(default_args={"timeout": 90})
    with pytest.raises(TaskDeferred) as waiting:
        sensor.execute(bench.context)
    assert waiting.value.timeout is not None
    assert 80 < waiting.value.timeout.total_seconds() <= 90
    trigger = waiting.value.trigger
    bench.supervisor.runs[UPSTREAM, bench.own_run_id].end("success", summary="success")
    bench.supervisor.runs[UPSTREAM, "other"] = Run("running", opened=bench.lab.lab_id)
    assert isinstance(trigger, RunDoneTrigger)
    with pytest.raises(TaskDeferred) as more:
        sensor.execute_complete(
            bench.context, {"status": "look", "watched": trigger.watched}, began="2020-01-01T00:00:00+00:00"
        )
    assert more.value.timeout is not None
    assert more.value.timeout.total_seconds() == 1
    with pytest.raises(AirflowSensorTimeout, match=r"simulation.* 90 s.*repx_simulation"):
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, bench.context)
