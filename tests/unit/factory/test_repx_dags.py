from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, TriggerRule
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.definitions.param import process_params
from airflow.sdk.definitions.taskgroup import MappedTaskGroup
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_repx import repx_dags
from airflow_provider_repx.errors import LabFormatError, LabNotFoundError, PlanError, TargetError
from airflow_provider_repx.factory import lab_dags
from airflow_provider_repx.lab import Lab, read_lab
from airflow_provider_repx.operators.job import RepxJobOperator
from airflow_provider_repx.operators.nix_build import NixBuildOperator
from airflow_provider_repx.operators.open_lab import OpenLabOperator
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab, write_manifest

pytestmark = pytest.mark.unit

TEMPERATURES = (1.5, 2.3, 3.0)


def sweep(seeds: int = 2, temperatures: tuple[float, ...] = TEMPERATURES) -> list[JobSpec]:
    """prepare (by seed) -> simulate (by seed and temperature) -> measure (one-to-one)."""
    jobs = []
    for seed in range(1, seeds + 1):
        prepare = JobSpec(job_id("prepare-1.1", str(seed)), params={"seed": seed})
        jobs.append(prepare)
        for temperature in temperatures:
            point = f"{seed}/{temperature}"
            simulate = JobSpec(
                job_id("simulate-1.1", point),
                params={"temperature": temperature},
                reads={"start": (prepare.id, "data")},
                hints={"cpus": 1, "mem": "100M"},
            )
            measure = JobSpec(job_id("measure-1.1", point), reads={"spins": (simulate.id, "data")})
            jobs += [simulate, measure]
    return jobs


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    table = JobSpec(job_id("gather-1.1"))
    return write_lab(
        tmp_path / "lab",
        [RunSpec("simulation", sweep()), RunSpec("analysis", [table], dependencies={"simulation": "hard"})],
        groups={"physics": ["simulation", "analysis"]},
    )


@pytest.fixture
def settings(lab: Path, tmp_path: Path) -> dict[str, Any]:
    return {"lab": lab, "name": "ising", "base_path": tmp_path / "base", "cpus": 4, "memory": "8G"}


def serialized(dag: DAG) -> str:
    return json.dumps(DagSerialization.to_dict(dag))


def test_one_dag_per_run(settings: dict[str, Any]) -> None:
    dags = repx_dags(**settings)
    assert sorted(dags) == ["repx_analysis", "repx_lab", "repx_simulation"]
    assert dags["repx_simulation"].tags == {"repx", "lab:ising", "group:physics"}
    assert sorted(repx_dags(**settings, dag_id_prefix="mine_")) == ["mine_analysis", "mine_lab", "mine_simulation"]


def test_params_are_said_once_and_reach_every_task_all_the_same(settings: dict[str, Any]) -> None:
    for dag in repx_dags(**settings).values():
        encoded = DagSerialization.to_dict(dag)["dag"]
        assert not [task for task in encoded["tasks"] if "params" in task["__var"]]
        assert {name for name, _ in encoded["params"]} == set(dag.params)
        for task in dag.tasks:
            found = process_params(dag, task, {"continue_on_failure": False}, suppress_exception=False)
            assert found == {**dag.params.dump(), "continue_on_failure": False}


def test_a_chain_is_a_mapped_group_and_a_stage_that_fans_out_starts_another(settings: dict[str, Any]) -> None:
    dag = repx_dags(**settings)["repx_simulation"]
    groups = {key for key, group in dag.task_group.get_task_group_dict().items() if isinstance(group, MappedTaskGroup)}
    assert len(groups) == 2
    assert {task.task_id for task in dag.tasks} == {"open_lab", "prepare", "simulate", "measure", "summary"}
    assert not any(isinstance(task, MappedOperator) for task in dag.tasks)
    assert dag.get_task("simulate").upstream_task_ids == {"prepare"}
    assert dag.get_task("measure").upstream_task_ids == {"simulate"}
    assert dag.get_task("summary").upstream_task_ids == {"prepare", "simulate", "measure"}
    assert dag.get_task("simulate").task_group is dag.get_task("measure").task_group
    assert dag.get_task("prepare").upstream_task_ids == {"open_lab"}


def test_failures_stay_with_their_point(settings: dict[str, Any]) -> None:
    dag = repx_dags(**settings)["repx_simulation"]
    assert dag.get_task("prepare").trigger_rule == TriggerRule.ALL_SUCCESS
    assert dag.get_task("simulate").trigger_rule == TriggerRule.ALL_DONE
    assert dag.get_task("measure").trigger_rule == TriggerRule.NONE_FAILED
    assert dag.get_task("summary").trigger_rule == TriggerRule.ALL_DONE
    assert dag.get_task("summary").retries == 0


def test_labels_tell_points_apart(settings: dict[str, Any]) -> None:
    dag = repx_dags(**settings)["repx_simulation"]
    simulate, measure = dag.get_task("simulate"), dag.get_task("measure")
    assert isinstance(simulate, RepxJobOperator)
    assert isinstance(measure, RepxJobOperator)
    labels = [simulate.point_label(index) for index in range(6)]
    assert "temperature=2.3, seed=2" in labels
    assert len(set(labels)) == 6
    assert labels == [measure.point_label(index) for index in range(6)]


def test_packed_points_say_how_many_they_are(settings: dict[str, Any]) -> None:
    dag = repx_dags(**settings, max_mapped=3)["repx_simulation"]
    simulate = dag.get_task("simulate")
    assert isinstance(simulate, RepxJobOperator)
    assert simulate.chain.width == 3
    assert simulate.point_label(0).endswith("(+1)")
    assert dag.get_task("measure").trigger_rule == TriggerRule.ALL_DONE


def test_a_hard_dependency_becomes_a_sensor(settings: dict[str, Any]) -> None:
    dag = repx_dags(**settings)["repx_analysis"]
    assert dag.get_task("wait_for_simulation").upstream_task_ids == {"open_lab"}
    assert dag.get_task("gather").upstream_task_ids == {"wait_for_simulation"}
    assert dag.get_task("gather").trigger_rule == TriggerRule.ALL_SUCCESS


def test_documentation_names_parameters_and_stages(settings: dict[str, Any]) -> None:
    text = repx_dags(**settings)["repx_simulation"].doc_md
    assert text is not None
    assert "| temperature | 1.5, 2.3, 3.0 |" in text
    assert "| simulate | 6 | 1 |" in text
    assert "mem 100M" in text


def test_markup_of_a_lab_stays_text(tmp_path: Path) -> None:
    job = JobSpec(job_id("a-1.1"), params={"text": "<script>|`x`\n# no"})
    lab = write_lab(tmp_path / "lab", [RunSpec("r", [job])])
    text = repx_dags(lab=lab, base_path=tmp_path)["repx_r"].doc_md
    assert text is not None
    assert r"\<script\>\|\`x\` # no" in text


def test_nothing_of_a_lab_is_a_template(settings: dict[str, Any]) -> None:
    for dag in repx_dags(**settings).values():
        assert all(not task.template_fields for task in dag.tasks)


def test_the_scheduler_can_read_what_is_serialized(settings: dict[str, Any]) -> None:
    for dag_id, dag in repx_dags(**settings).items():
        scheduled = DagSerialization.from_dict(json.loads(serialized(dag)))
        assert set(scheduled.task_dict) == set(dag.task_dict)
        assert "id " in scheduled.task_dict["open_lab"].lab_note
        if dag_id != "repx_lab":
            assert scheduled.task_dict["open_lab"].pools[0][:2] == ["repx_local", 4]


_SERIALIZE = """
import json, sys
from airflow.serialization.serialized_objects import DagSerialization
from airflow_provider_repx import repx_dags
dags = repx_dags(**json.loads(sys.argv[1]))
# Airflow writes fields in the order of a set; what it compares, and what makes a new DAG version, is sorted by key.
print(json.dumps({name: DagSerialization.to_dict(dag) for name, dag in dags.items()}, sort_keys=True))
"""


def test_every_process_serializes_the_same_bytes(settings: dict[str, Any]) -> None:
    arguments = json.dumps({name: str(value) for name, value in settings.items()} | {"cpus": 4})

    def output(seed: str) -> bytes:
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _SERIALIZE, arguments],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            timeout=120,
        ).stdout.splitlines()[-1]

    assert output("1") == output("2")


def test_a_task_process_builds_only_its_dag(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "repx_analysis")
    assert list(repx_dags(**settings)) == ["repx_analysis"]


def test_a_wide_dag_stays_small(tmp_path: Path) -> None:
    lab = write_lab(tmp_path / "lab", [RunSpec("wide", sweep(40, tuple(float(n) for n in range(100))))])
    dag = repx_dags(lab=lab, base_path=tmp_path)["repx_wide"]
    assert len(serialized(dag)) < 100_000


def test_a_missing_lab_is_an_error(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(LabNotFoundError, match="nowhere"):
        repx_dags(**settings | {"lab": tmp_path / "nowhere"})


def test_settings_errors_name_the_setting(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TargetError, match="cpus"):
        repx_dags(**settings | {"cpus": "many"})
    with pytest.raises(TargetError, match="colour"):
        repx_dags(**settings, colour="red")
    with pytest.raises(TargetError, match="AIRFLOW__REPX__LAB"):
        repx_dags(name="x")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    with pytest.raises(TargetError, match="AIRFLOW__REPX__BASE_PATH"):
        repx_dags(lab=settings["lab"])


def test_run_names_that_meet_in_one_dag_id_are_refused(tmp_path: Path) -> None:
    runs = [RunSpec("a b", [JobSpec(job_id("x-1.1"))]), RunSpec("a_b", [JobSpec(job_id("y-1.1"))])]
    with pytest.raises(PlanError, match="repx_a_b"):
        repx_dags(lab=write_lab(tmp_path / "lab", runs), base_path=tmp_path)
    reserved = write_lab(tmp_path / "reserved", [RunSpec("lab", [JobSpec(job_id("x-1.1"))])])
    with pytest.raises(PlanError, match="reserved"):
        repx_dags(lab=reserved, base_path=tmp_path)


def test_configuration_supplies_what_arguments_do_not(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__REPX__LAB", str(settings["lab"]))
    monkeypatch.setenv("AIRFLOW__REPX__BASE_PATH", str(settings["base_path"]))
    monkeypatch.setenv("AIRFLOW__REPX__NAME", "configured")
    assert "lab:configured" in repx_dags()["repx_simulation"].tags
    assert "lab:argued" in repx_dags(name="argued")["repx_simulation"].tags


def test_a_broken_lab_leaves_the_others_alone(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = write_lab(tmp_path / "broken", [RunSpec("r", [JobSpec(job_id("x-1.1"))])])
    metadata = broken / "revision/metadata-r.json"
    record = json.loads(metadata.read_text())
    next(iter(record["jobs"].values()))["stage_type"] = "quantum"
    metadata.write_text(json.dumps(record))
    write_manifest(broken)
    labs = [
        {"name": "good", "lab": str(settings["lab"])},
        {"name": "bad", "lab": str(broken), "dag_id_prefix": "bad_"},
    ]
    monkeypatch.setenv("AIRFLOW__REPX__LABS", json.dumps(labs))
    monkeypatch.setenv("AIRFLOW__REPX__BASE_PATH", str(settings["base_path"]))
    dags = repx_dags()
    assert sorted(dags) == ["repx_analysis", "repx_broken_lab_bad", "repx_lab", "repx_simulation"]
    serialized(dags["repx_simulation"])
    with pytest.raises(Exception, match="stage_type"):
        serialized(dags["repx_broken_lab_bad"])
    with pytest.raises(LabFormatError, match=r"metadata-r\.json: r/.*: stage_type"):
        repx_dags(lab=broken, base_path=tmp_path)


def test_labs_whose_dag_ids_clash_are_refused(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    labs = [{"name": name, "lab": str(settings["lab"])} for name in ("one", "two")]
    monkeypatch.setenv("AIRFLOW__REPX__LABS", json.dumps(labs))
    monkeypatch.setenv("AIRFLOW__REPX__BASE_PATH", str(settings["base_path"]))
    dags = repx_dags()
    assert sorted(dags) == ["repx_analysis", "repx_broken_lab_two", "repx_lab", "repx_simulation"]
    assert "lab:one" in dags["repx_simulation"].tags
    with pytest.raises(Exception, match="dag_id_prefix"):
        serialized(dags["repx_broken_lab_two"])


def test_an_entry_of_labs_takes_no_other_labs_settings(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    labs = [
        {"name": "good", "lab": str(settings["lab"])},
        {"name": "nothing"},
        {"name": "odd", "lab": "/x", "cpus": -1},
    ]
    monkeypatch.setenv("AIRFLOW__REPX__LABS", json.dumps(labs))
    monkeypatch.setenv("AIRFLOW__REPX__LAB", str(settings["lab"]))
    monkeypatch.setenv("AIRFLOW__REPX__BASE_PATH", str(settings["base_path"]))
    dags = repx_dags()
    broken = ["repx_broken_lab_nothing", "repx_broken_lab_odd"]
    assert sorted(dags) == ["repx_analysis", *broken, "repx_lab", "repx_simulation"]
    with pytest.raises(Exception, match="nothing: no lab is given"):
        serialized(dags["repx_broken_lab_nothing"])


def test_another_division_into_tasks_has_another_fingerprint(settings: dict[str, Any]) -> None:
    def fingerprint(**more: Any) -> str:
        first = repx_dags(**settings, **more)["repx_simulation"].get_task("open_lab")
        assert isinstance(first, OpenLabOperator)
        return first.plan.fingerprint

    assert fingerprint() == fingerprint()
    assert fingerprint() != fingerprint(max_mapped=3)


def test_any_trouble_with_a_lab_leaves_the_others_alone(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(path: Path) -> Lab:
        if path.name == "odd":
            raise PermissionError(f"{path}: permission denied")
        return read_lab(path)

    monkeypatch.setattr(lab_dags, "read_lab", unreadable)
    labs = [{"name": "good", "lab": str(settings["lab"])}, {"name": "bad", "lab": str(tmp_path / "odd")}]
    monkeypatch.setenv("AIRFLOW__REPX__LABS", json.dumps(labs))
    monkeypatch.setenv("AIRFLOW__REPX__BASE_PATH", str(settings["base_path"]))
    assert sorted(repx_dags()) == ["repx_analysis", "repx_broken_lab_bad", "repx_lab", "repx_simulation"]


def test_names_that_airflow_would_refuse(tmp_path: Path) -> None:
    upstream, downstream = JobSpec(job_id("x-1.1")), JobSpec(job_id("y-1.1"))
    runs = [RunSpec("a b", [upstream]), RunSpec("down", [downstream], dependencies={"a b": "hard"})]
    lab = write_lab(tmp_path / "lab", runs, groups={"g" * 120: ["down"]})
    dag = repx_dags(lab=lab, base_path=tmp_path)["repx_down"]
    assert dag.get_task("wait_for_a_b").upstream_task_ids == {"open_lab"}
    assert max(map(len, dag.tags)) == 100
    with pytest.raises(PlanError, match="longer than the 250 characters"):
        repx_dags(lab=lab, base_path=tmp_path, dag_id_prefix="p" * 248)
    with pytest.raises(TargetError, match="name: String should have at most 96"):
        repx_dags(lab=lab, base_path=tmp_path, name="n" * 97)


def test_a_single_job_stops_only_those_that_read_from_it(tmp_path: Path) -> None:
    """Two jobs of one stage are two plain tasks when they ask for different resources."""
    prepares = [
        JobSpec(job_id("prepare-1.1", str(cpus)), params={"seed": cpus}, hints={"cpus": cpus}) for cpus in (1, 4)
    ]
    simulates = [
        JobSpec(job_id("simulate-1.1", f"{prepare.id}/{t}"), params={"t": t}, reads={"start": (prepare.id, "data")})
        for prepare in prepares
        for t in range(3)
    ]
    lab = write_lab(tmp_path / "lab", [RunSpec("r", [*prepares, *simulates])])
    dag = repx_dags(lab=lab, base_path=tmp_path, cpus=8, memory="8G")["repx_r"]
    assert dag.get_task("simulate").upstream_task_ids == {"prepare", "prepare__slots_4"}
    assert dag.get_task("simulate").trigger_rule == TriggerRule.ALL_DONE


def test_documentation_shows_names_as_they_are(tmp_path: Path) -> None:
    job = JobSpec(job_id("a-1.1"), params={"model": f"/nix/store/{'a' * 32}-model", "nothing": None})
    text = repx_dags(lab=write_lab(tmp_path / "lab", [RunSpec("my_run", [job])]), base_path=tmp_path)[
        "repx_my_run"
    ].doc_md
    assert text is not None
    assert "`" not in text
    assert "| model | model |" in text
    assert "| nothing | null |" in text


def test_paths_may_begin_at_home(settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    dag = repx_dags(**settings | {"lab": "~/lab", "base_path": "~/base"})["repx_simulation"]
    assert str(getattr(dag.get_task("open_lab"), "store").base_path) == str(tmp_path / "base")  # noqa: B009 - untyped


def test_a_flake_adds_a_dag_that_builds_the_lab(settings: dict[str, Any], tmp_path: Path) -> None:
    built = repx_dags(**settings, flake="/srv/labs/ising#lab", build_schedule="@daily")
    assert sorted(built) == ["repx_analysis", "repx_lab", "repx_lab_build", "repx_simulation"]
    build = built["repx_lab_build"].get_task("build")
    assert isinstance(build, NixBuildOperator)
    assert (build.flake, build.out_link) == ("/srv/labs/ising#lab", str(settings["lab"]))
    announce = built["repx_lab_build"].get_task("announce")
    assert announce.upstream_task_ids == {"build"}
    assert [asset.uri for asset in announce.outlets] == [Asset("repx://ising").uri]
    DagSerialization.from_dict(json.loads(serialized(built["repx_lab_build"])))
    unbuilt = repx_dags(**settings | {"lab": tmp_path / "not built yet"}, flake="/srv/labs/ising#lab")
    assert list(unbuilt) == ["repx_lab_build"]


def test_what_the_next_task_reads_is_pushed_whatever_the_default_arguments_say(settings: dict[str, Any]) -> None:
    built = repx_dags(**settings, flake="/srv/labs/ising#lab", default_args={"do_xcom_push": False})
    assert built["repx_lab_build"].get_task("build").do_xcom_push
    assert not built["repx_simulation"].get_task("summary").do_xcom_push


def test_a_broken_lab_can_still_be_built_anew(settings: dict[str, Any]) -> None:
    (settings["lab"] / "revision/metadata-top.json").write_text("{")
    dags = repx_dags(**settings, flake="/srv/labs/ising#lab")
    assert sorted(dags) == ["repx_broken_lab_ising", "repx_lab_build"]


def test_a_pool_of_another_size_is_described_in_another_way(settings: dict[str, Any]) -> None:
    def pool(cpus: int) -> list[Any]:
        first = repx_dags(**settings | {"cpus": cpus})["repx_simulation"].get_task("open_lab")
        assert isinstance(first, OpenLabOperator)
        return first.pools[0]

    assert pool(2)[:2] == ["repx_local", 2]
    assert pool(2)[2] != pool(3)[2], "the description tells that the planned size has changed"
