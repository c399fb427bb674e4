"""Every setting can be given in Python, in the `[repx]` section, and for one of several labs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx import repx_dags
from airflow_provider_repx.factory.settings import LabSettings, configured_labs, lab_settings
from tests.support.experiments import Experiment
from tests.support.five_runs import FiveRuns

pytestmark = pytest.mark.unit

VALUES: dict[str, Any] = {
    "lab": "/srv/lab",
    "name": "five",
    "target": "cluster",
    "base_path": "/srv/base",
    "slurm_conn_id": "slurm",
    "partition": "gpu",
    "account": "physics",
    "qos": "long",
    "partitions": {"gpu": {"cpus": 64, "memory": "512G"}},
    "start": "worker",
    "dag_id_prefix": "five_",
    "config_file": "/srv/config.toml",
    "resources_file": "/srv/resources.toml",
    "cpus": 3,
    "memory": "5G",
    "max_mapped": 7,
    "chunk": 11,
    "retries": 13,
    "retry_delay": 17.5,
    "retry_failed_jobs": True,
    "poll_interval": 0.5,
    "schedule": "@daily",
    "schedules": {"train": "asset:repx://five/preprocess"},
    "on_missing": "wait",
    "pool_prefix": "five",
    "flake": "/srv/five#lab",
    "out_link": "/srv/link",
    "build_schedule": "@weekly",
    "private_store": "/srv/nix",
    "allow_network": True,
    "default_args": {"owner": "physics", "priority_weight": 5},
}
"""One value of each setting, none of them the default."""


def test_settings_mean_the_same_wherever_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(VALUES) == set(LabSettings.model_fields)
    argued = lab_settings(VALUES)
    defaults = LabSettings(lab=Path("/other"))
    assert not [name for name in VALUES if getattr(argued, name) == getattr(defaults, name)]

    monkeypatch.setenv("AIRFLOW__REPX__LABS", json.dumps([VALUES]))
    assert configured_labs() == {"five": argued}

    monkeypatch.delenv("AIRFLOW__REPX__LABS")
    for name, value in VALUES.items():
        text = json.dumps(value) if isinstance(value, dict) else str(value)
        monkeypatch.setenv(f"AIRFLOW__REPX__{name.upper()}", text)
    assert configured_labs() == {"five": argued}


def test_labs_beside_each_other_keep_their_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labs = []
    for name, cpus in (("one", 2), ("two", 4)):
        lab = FiveRuns(Experiment(tmp_path / name)).write(lab=tmp_path / name / "lab")
        labs.append(
            {
                "name": name,
                "lab": str(lab),
                "base_path": str(tmp_path / name / "base"),
                "dag_id_prefix": f"{name}_",
                "pool_prefix": name,
                "cpus": cpus,
                "schedule": "@daily" if name == "one" else "asset:repx://one/train",
                "default_args": {"owner": name},
            }
        )
    monkeypatch.setenv("AIRFLOW__REPX__LABS", json.dumps(labs))
    dags = repx_dags()
    for name, cpus in (("one", 2), ("two", 4)):
        (chain,) = [task for task in dags[f"{name}_baseline"].tasks if task.pool == f"{name}_local"]
        assert (chain.owner, dags[f"{name}_lab"].get_task("summary").owner) == (name, name)
        first = dags[f"{name}_baseline"].get_task("open_lab")
        assert [pool[:2] for pool in first.pools] == [[f"{name}_local", cpus]]  # type: ignore[attr-defined]
    assert dags["one_lab"].schedule == "@daily"
    assert str(dags["two_lab"].schedule) != "@daily"


@pytest.mark.parametrize("text", ["not json", "[1]", '"text"'])
def test_default_args_that_are_no_object_are_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__REPX__DEFAULT_ARGS", text)
    monkeypatch.setenv("AIRFLOW__REPX__LAB", "/srv/lab")
    with pytest.raises(Exception, match="default_args"):
        lab_settings({})
