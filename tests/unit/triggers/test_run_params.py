"""Params of a DAG run, worked out once for all its triggers."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_repx.triggers.slurm import run_params as module
from airflow_provider_repx.triggers.slurm.run_params import run_params

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_known", OrderedDict())


class Asked:
    """How often Airflow was asked."""

    def __init__(self) -> None:
        self.count = 0

    def instance(self, params: dict[str, Any], *, version: str | None = "v1", task_id: str = "work") -> Any:
        def context() -> dict[str, Any]:
            self.count += 1
            return {"params": params}

        run = SimpleNamespace(conf=params)
        return SimpleNamespace(
            dag_version_id=version,
            task_id=task_id,
            get_template_context=context,
            _ti_context_from_server=SimpleNamespace(dag_run=run),
        )


def test_airflow_is_asked_once_for_all_instances_of_a_task() -> None:
    asked = Asked()
    found = [run_params(asked.instance({"force": True, "jobs": ["a"]})) for _ in range(5)]
    assert found == [{"force": True, "jobs": ["a"]}] * 5
    assert asked.count == 1


@pytest.mark.parametrize("other", [{"version": "v2"}, {"task_id": "other"}])
def test_another_version_or_task_is_asked_for_anew(other: dict[str, str]) -> None:
    asked = Asked()
    run_params(asked.instance({"force": True}))
    assert run_params(asked.instance({"force": True}, **other)) == {"force": True}
    assert asked.count == 2


def test_a_run_that_was_triggered_with_something_else_has_its_own() -> None:
    asked = Asked()
    assert run_params(asked.instance({"force": True})) == {"force": True}
    assert run_params(asked.instance({"force": False})) == {"force": False}


def test_whoever_gets_them_may_change_them() -> None:
    asked = Asked()
    run_params(asked.instance({"force": True}))["force"] = "changed"
    assert run_params(asked.instance({"force": True})) == {"force": True}


def test_where_airflow_does_not_tell_the_version_it_is_asked_each_time() -> None:
    asked = Asked()
    for _ in range(3):
        run_params(asked.instance({"force": True}, version=None))
    assert asked.count == 3


def test_only_so_many_are_kept() -> None:
    asked = Asked()
    for number in range(200):
        run_params(asked.instance({"number": number}))
    kept = asked.count
    run_params(asked.instance({"number": 199}))
    assert asked.count == kept
    run_params(asked.instance({"number": 0}))
    assert asked.count == kept + 1
