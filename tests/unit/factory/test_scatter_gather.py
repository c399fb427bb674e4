"""What a scatter-gather stage becomes in a DAG."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import TriggerRule
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_repx import repx_dags
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.support.scatter_gather import scatter_gather

pytestmark = pytest.mark.unit


def dag_of(path: Path, seeds: int, **settings: Any) -> Any:
    """source -> split (a diamond) -> report for each seed."""
    jobs = []
    for seed in range(1, seeds + 1):
        source = JobSpec(job_id("source-1.1", str(seed)), params={"seed": seed})
        split = scatter_gather(
            job_id("split-1.1", str(seed)),
            items="",
            reads={"source": (source.id, "data")},
            hints={"job": {"cpus": 1}, "step-left": {"cpus": 4}},
        )
        jobs += [source, split, JobSpec(job_id("report-1.1", str(seed)), reads={"split": (split.id, "data")})]
    lab = write_lab(path / "lab", [RunSpec("main", jobs)])
    given = {"base_path": path / "base", "cpus": 8, "memory": "8G"} | settings
    return repx_dags(lab=lab, **given)["repx_main"]


def shape(dag: Any) -> dict[str, set[str]]:
    return {task.task_id: set(task.upstream_task_ids) for task in dag.tasks if task.task_id.startswith("split")}


def test_steps_are_mapped_over_branches_also_where_no_task_pushes_its_result(tmp_path: Path) -> None:
    dag = dag_of(tmp_path, 1, default_args={"do_xcom_push": False})
    assert dag.get_task("split.branches").do_xcom_push
    assert not dag.get_task("split.scatter").do_xcom_push
    DagSerialization.from_dict(DagSerialization.to_dict(dag))


STEPS = {"split.step-start", "split.step-left", "split.step-right", "split.step-join"}


def test_one_job_has_plain_tasks_around_mapped_steps(tmp_path: Path) -> None:
    dag = dag_of(tmp_path, 1)
    assert shape(dag) == {
        "split.scatter": {"source"},
        "split.branches": {"split.scatter"},
        "split.step-start": {"split.branches"},
        "split.step-left": {"split.step-start"},
        "split.step-right": {"split.step-start"},
        "split.step-join": {"split.step-left", "split.step-right"},
        "split.gather": {"split.branches", *STEPS},
    }
    assert dag.get_task("report").upstream_task_ids == {"split.gather"}
    assert {"split.gather", "split.branches", *STEPS} < dag.get_task("summary").upstream_task_ids
    rules = {task_id: dag.get_task(task_id).trigger_rule for task_id in shape(dag)}
    assert {rules[task_id] for task_id in (*STEPS, "split.branches")} == {TriggerRule.ALL_SUCCESS}
    assert rules["split.gather"] == TriggerRule.ALL_DONE
    slots = {task_id: dag.get_task(task_id).pool_slots for task_id in STEPS}
    assert slots == dict.fromkeys(STEPS, 1) | {"split.step-left": 4}
    groups = dag.task_group.get_task_group_dict()
    assert groups["split__steps"].parent_group.group_id == "split"
    assert set(groups["split__steps"].children) == STEPS


def test_few_jobs_have_groups_of_their_own_that_tell_their_parameters(tmp_path: Path) -> None:
    dag = dag_of(tmp_path, 2)
    groups = dag.task_group.get_task_group_dict()
    assert {groups[name].group_display_name for name in ("split", "split__2")} == {
        "split (seed=1)",
        "split__2 (seed=2)",
    }
    # Each waits for its own source only, which Airflow cannot tell from the other one.
    assert dag.get_task("split__2.scatter").trigger_rule == TriggerRule.ALL_DONE


def test_many_jobs_share_mapped_tasks(tmp_path: Path) -> None:
    dag = dag_of(tmp_path, 9)
    groups = dag.task_group.get_task_group_dict()
    assert {"split", "split__scatters", "split__steps", "split__gathers"} < set(groups)
    assert dag.get_task("split.branches").trigger_rule == TriggerRule.ALL_DONE
    assert dag.get_task("split.gather").map_index_template == "{{ task.point_label(ti.map_index) }}"
    assert dag.get_task("split.gather").point_label(3) == "seed=4"


def test_the_scheduler_can_read_it_and_its_size_does_not_follow_the_sweep(tmp_path: Path) -> None:
    sizes = []
    for seeds in (1, 9, 300):
        dag = dag_of(tmp_path / str(seeds), seeds)
        data = json.loads(json.dumps(DagSerialization.to_dict(dag)))
        scheduled = DagSerialization.from_dict(data)
        assert set(scheduled.task_dict) == set(dag.task_dict)
        sizes.append(len(json.dumps(data)))
    assert max(sizes) < 40_000
    assert sizes[2] - sizes[1] < 10_000


def test_on_slurm_each_part_is_a_task_that_starts_in_the_triggerer(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f"""
        [targets.local]
        base_path = "{tmp_path}/base"
        [targets.cluster]
        address = "user@cluster"
        base_path = "{tmp_path}/base"
        default_scheduler = "slurm"
        """
    )
    here = dag_of(tmp_path, 1)
    dag = dag_of(tmp_path, 1, target="cluster", config_file=config, base_path=None, cpus=None, memory=None)
    on_cluster = {"split.scatter", *STEPS, "split.gather"}
    # Each waits for the lab itself, since what is before it may have had nothing to do.
    expected = {task: upstream | ({"sync"} if task in on_cluster else set()) for task, upstream in shape(here).items()}
    assert shape(dag) == expected
    assert {task: dag.get_task(task).trigger_rule for task in expected} == {
        task: here.get_task(task).trigger_rule for task in expected
    }
    scheduled = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    asked = {}
    for task_id in on_cluster:
        task = scheduled.task_dict[task_id]
        assert task.start_from_trigger
        assert task.start_trigger_args.trigger_cls.endswith("SlurmPartTrigger")
        request = dag.get_task(task_id).request
        assert request.sync_task == "sync"
        asked[task_id] = (request.stage, request.part, request.step)
    assert asked == {
        "split.scatter": ("split", "scatter", None),
        "split.gather": ("split", "gather", None),
        **{step: ("split", "step", step.partition("-")[2]) for step in STEPS},
    }
    assert not scheduled.task_dict["split.branches"].start_from_trigger
