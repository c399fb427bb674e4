"""The DAG of a whole lab, schedules, provenance, and pools per lab."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, TriggerRule
from airflow.sdk.definitions.asset import AssetUriRef
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_provider_repx import repx_dags
from airflow_provider_repx.assets import lab_asset
from airflow_provider_repx.errors import PlanError, TargetError
from airflow_provider_repx.factory.schedules import schedule_of
from tests.support.experiments import Experiment
from tests.support.five_runs import RUNS, FiveRuns
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.unit

WORKDAYS = CronTriggerTimetable("0 7 * * 1-5", timezone="UTC")


class Nightly(CronTriggerTimetable):
    """A timetable that needs no arguments."""

    def __init__(self) -> None:
        super().__init__("0 3 * * *", timezone="UTC")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    lab = FiveRuns(Experiment(tmp_path)).write()
    return {"lab": lab, "name": "five", "base_path": tmp_path / "base", "cpus": 4, "memory": "8G"}


def reread(dag: DAG) -> Any:
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


def test_the_dag_of_the_lab_has_a_task_per_run_and_hard_dependencies_as_edges(settings: dict[str, Any]) -> None:
    dag = repx_dags(**settings)["repx_lab"]
    edges = {task.task_id: task.upstream_task_ids for task in dag.tasks}
    assert edges == {
        "open_lab": set(),
        "run_preprocess": {"open_lab"},
        "run_train": {"run_preprocess"},
        "run_baseline": {"run_preprocess"},
        "run_evaluate": {"run_train"},
        "run_visualize": {"run_evaluate"},
        "summary": {"open_lab", *(f"run_{run}" for run in RUNS)},
    }
    assert dag.get_task("summary").trigger_rule == TriggerRule.ALL_DONE
    assert {dag.get_task(f"run_{run}").trigger_rule for run in RUNS} == {TriggerRule.NONE_FAILED}
    assert dag.params.get_param("group").schema["enum"] == [None, "baselines", "ml-pipeline", "reporting"]
    assert dag.doc_md is not None
    assert r"| visualize | repx\_visualize | evaluate | baseline |" in dag.doc_md
    assert "1111" in dag.doc_md
    assert set(reread(dag).task_dict) == set(edges)


def test_the_dag_of_a_large_lab_stays_small(tmp_path: Path) -> None:
    runs = [RunSpec(f"experiment number {n}", [JobSpec(job_id("a-1.1", str(n)))]) for n in range(400)]
    lab = write_lab(tmp_path / "lab", runs)
    dag = repx_dags(lab=lab, base_path=tmp_path)["repx_lab"]
    assert len(dag.tasks) == 402
    assert "400 runs" in str(dag.doc_md)
    assert len(json.dumps(DagSerialization.to_dict(dag))) / 400 < 1200


def test_a_soft_dependency_is_an_inlet_and_no_edge(settings: dict[str, Any]) -> None:
    dag = repx_dags(**settings)["repx_visualize"]
    assert [asset.uri for asset in dag.get_task("open_lab").inlets] == [Asset("repx://five/baseline").uri]
    assert [asset.uri for asset in dag.get_task("wait_for_evaluate").inlets] == [Asset("repx://five/evaluate").uri]
    assert not dag.has_task("wait_for_baseline")


def test_only_a_run_that_depends_on_others_asks_what_to_do_about_them(settings: dict[str, Any]) -> None:
    dags = repx_dags(**settings, on_missing="wait")
    assert "on_missing" not in dags["repx_preprocess"].params
    assert dags["repx_train"].params["on_missing"] == dags["repx_lab"].params["on_missing"] == "wait"
    assert repx_dags(**settings)["repx_train"].params["on_missing"] == "trigger"
    with pytest.raises(TargetError, match="on_missing"):
        repx_dags(**settings, on_missing="hope")


def test_schedules_are_for_the_lab_and_for_single_runs(settings: dict[str, Any]) -> None:
    schedules = {"train": "@daily", "evaluate": "asset:repx://five/train", "visualize": WORKDAYS}
    dags = repx_dags(**settings, schedule="0 3 * * *", schedules=schedules)
    assert {dag_id for dag_id, dag in dags.items() if dag.is_paused_upon_creation} == {
        "repx_lab",
        "repx_train",
        "repx_evaluate",
        "repx_visualize",
    }
    assert dags["repx_lab"].schedule == "0 3 * * *"
    assert dags["repx_evaluate"].schedule == AssetUriRef("repx://five/train")
    assert dags["repx_visualize"].schedule is WORKDAYS
    assert dags["repx_preprocess"].schedule is None
    for dag in dags.values():
        assert reread(dag).timetable.can_be_scheduled == (dag.schedule is not None), dag.dag_id
        assert not dag.catchup


def test_configuration_schedules_as_python_does(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__REPX__SCHEDULE", "@weekly")
    monkeypatch.setenv("AIRFLOW__REPX__SCHEDULES", json.dumps({"train": ["asset:repx://a/b", "asset:s3://c/d"]}))
    dags = repx_dags(**settings)
    assert dags["repx_lab"].schedule == "@weekly"
    assert dags["repx_train"].schedule == [AssetUriRef("repx://a/b"), AssetUriRef("s3://c/d")]
    labs = [{"name": "x", "lab": str(settings["lab"]), "base_path": "/x", "schedules": {"train": "@hourly"}}]
    monkeypatch.setenv("AIRFLOW__REPX__LABS", json.dumps(labs))
    dags = repx_dags()
    assert dags["repx_train"].schedule == "@hourly"
    assert dags["repx_lab"].schedule is None, "a schedule of the section is about one lab"


def test_configuration_takes_several_assets_for_the_whole_lab(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__REPX__SCHEDULE", ' ["asset:repx://a/b", "asset:s3://c/d"]')
    assert repx_dags(**settings)["repx_lab"].schedule == [AssetUriRef("repx://a/b"), AssetUriRef("s3://c/d")]
    monkeypatch.setenv("AIRFLOW__REPX__SCHEDULE", '["asset:repx://a/b"')
    with pytest.raises(TargetError, match=r"schedule: .*JSON|schedule: .*Expecting"):
        repx_dags(**settings)


def test_a_timetable_is_named_by_its_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415 - only here
    import types  # noqa: PLC0415 - only here

    module = types.ModuleType("made_up_timetables")
    module.Nightly, module.workdays, module.nothing = Nightly, WORKDAYS, 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_timetables", module)
    assert isinstance(schedule_of("timetable:made_up_timetables.Nightly", "x"), Nightly)
    assert schedule_of(" timetable: made_up_timetables.workdays ", "x") is WORKDAYS
    with pytest.raises(TargetError, match=r"^x: 'made_up_timetables.nothing' is a int, not a timetable"):
        schedule_of("timetable:made_up_timetables.nothing", "x")
    for path in ("no_such_module.X", "made_up_timetables.no", "alone"):
        with pytest.raises(TargetError, match=f"timetable '{path}' cannot be loaded"):
            schedule_of(f"timetable:{path}", "x")


def test_other_schedules_are_passed_on() -> None:
    for value in (
        None,
        "@daily",
        "@once",
        "@continuous",
        "*/5 3 * * 1-5",
        timedelta(hours=1),
        WORKDAYS,
        Asset("repx://a"),
    ):
        assert schedule_of(value, "x") is value
    assert schedule_of("  ", "x") is None
    assert schedule_of("asset:repx://five", "x") == AssetUriRef(lab_asset("five").uri), "as Airflow stores it"
    assert schedule_of([], "x") is None
    with pytest.raises(TargetError, match="URI is missing"):
        schedule_of("asset: ", "x")
    with pytest.raises(TargetError, match="a list may only hold assets"):
        schedule_of(["@daily"], "x")


def test_a_run_that_always_begins_anew_has_one_dag_run_at_a_time(settings: dict[str, Any]) -> None:
    dags = repx_dags(**settings, schedule="@continuous", schedules={"train": "@continuous"})
    assert {dag_id for dag_id, dag in dags.items() if dag.max_active_runs == 1} == {"repx_lab", "repx_train"}
    assert reread(dags["repx_train"]).timetable.active_runs_limit == 1


def test_what_is_no_schedule_is_named() -> None:
    for value in (5, True, {"cron": "@daily"}):
        with pytest.raises(TargetError, match=r"^lab 'x': schedules: train: .* is no schedule"):
            schedule_of(value, "lab 'x': schedules: train")


def test_runs_that_wait_for_each_other_are_an_error(tmp_path: Path) -> None:
    runs = [
        RunSpec("a", [JobSpec(job_id("s-1", "a"))], {"b": "hard"}),
        RunSpec("b", [JobSpec(job_id("s-1", "b"))], {"c": "hard"}),
        RunSpec("c", [JobSpec(job_id("s-1", "c"))], {"b": "hard", "a": "soft"}),
    ]
    with pytest.raises(PlanError, match=r"runs wait for each other in a circle: [bc] <- [bc] <- [bc]\."):
        repx_dags(lab=write_lab(tmp_path / "lab", runs), name="x", base_path=tmp_path, cpus=4, memory="8G")
    soft = [
        RunSpec("a", [JobSpec(job_id("s-1", "a"))], {"b": "soft"}),
        RunSpec("b", [JobSpec(job_id("s-1", "b"))], {"a": "soft"}),
    ]
    dags = repx_dags(lab=write_lab(tmp_path / "soft", soft), name="x", base_path=tmp_path, cpus=4, memory="8G")
    assert {"repx_a", "repx_b"} <= dags.keys()


def test_a_schedule_for_an_unknown_run_is_an_error(settings: dict[str, Any]) -> None:
    with pytest.raises(TargetError, match=r"schedules: no run called 'tran' \(did you mean 'train'\?\)"):
        repx_dags(**settings, schedules={"tran": "@daily"})
    with pytest.raises(TargetError, match="schedules"):
        repx_dags(**settings, schedules="{")


def test_labs_may_have_pools_of_their_own(settings: dict[str, Any]) -> None:
    def pools(**more: Any) -> set[str]:
        return {str(task.pool) for task in repx_dags(**settings, **more)["repx_train"].tasks}

    assert pools() == {"default_pool", "repx_local"}
    assert pools(pool_prefix="five") == {"default_pool", "five_local"}


def test_any_schedule_or_pool_of_a_broken_lab_leaves_the_others_alone(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = {"lab": str(settings["lab"]), "base_path": "/x"}
    labs = [
        {**lab, "name": "good"},
        {**lab, "name": "odd", "dag_id_prefix": "odd_", "schedules": {"nothing": "@daily"}},
        {**lab, "name": "worse", "dag_id_prefix": "worse_", "schedule": "timetable:no.such"},
        {**lab, "name": "worst", "dag_id_prefix": "worst_", "schedules": ["train"]},
        {**lab, "name": "cron", "dag_id_prefix": "cron_", "schedule": "every day"},
    ]
    monkeypatch.setenv("AIRFLOW__REPX__LABS", json.dumps(labs))
    dags = repx_dags()
    broken = {f"repx_broken_lab_{name}" for name in ("odd", "worse", "worst", "cron")}
    assert set(dags) == {"repx_lab", *(f"repx_{run}" for run in RUNS), *broken}


def test_a_slice_of_a_lab_has_a_dag_of_the_lab(tmp_path: Path) -> None:
    """A run whose upstream run is not in the lab waits for it by itself."""
    up, down = JobSpec(job_id("up-1.1")), JobSpec(job_id("down-1.1"))
    lab = write_lab(tmp_path / "lab", [RunSpec("up", [up]), RunSpec("down", [down], dependencies={"up": "hard"})])
    top = lab / "revision/metadata-top.json"
    record = json.loads(top.read_text())
    record["runs"] = [path for path in record["runs"] if path.endswith("down.json")]
    top.write_text(json.dumps(record))
    from tests.support.labs import write_manifest  # noqa: PLC0415 - only here

    write_manifest(lab)
    dags = repx_dags(lab=lab, base_path=tmp_path)
    assert dags["repx_lab"].get_task("run_down").upstream_task_ids == {"open_lab"}
