"""The news of a lab comes when Airflow has read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time import task_runner

from airflow_provider_repx.sensors.served import LabServedSensor
from tests.support.experiments import Experiment
from tests.support.five_runs import FiveRuns
from tests.support.supervisor import Supervisor

pytestmark = pytest.mark.unit

NEWS = Asset("repx://five")


class Event:
    extra: Any = None


class Instance:
    def __init__(self, path: Path) -> None:
        self.path = path

    def xcom_pull(self, *, task_ids: str) -> dict[str, str]:
        assert task_ids == "build"
        return {"lab_id": "x", "path": str(self.path)}


def test_it_waits_for_the_version_that_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor(unknown={"repx_lab"})
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    path = FiveRuns(Experiment(tmp_path)).write(lab=tmp_path / "builds/new-lab")
    sensor = LabServedSensor(task_id="announce", build_task_id="build", dag_id="repx_lab", outlets=[NEWS])
    event = Event()
    context: Any = {"ti": Instance(path), "outlet_events": {NEWS: event}}
    assert not sensor.poke(context), "Airflow does not know the DAG yet"
    supervisor.unknown.clear()
    supervisor.versions["repx_lab"] = "old-lab"
    assert not sensor.poke(context)
    assert event.extra is None
    supervisor.versions["repx_lab"] = "new-lab"
    assert sensor.poke(context)
    assert event.extra == {"lab_id": "x", "path": str(path), "git_hash": "1" * 40}
    supervisor.versions.clear()
    assert sensor.poke(context), "without versions there is nothing to wait for"
