from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_repx.errors import TargetError, UnsupportedTargetError
from airflow_provider_repx.lab import read_lab
from airflow_provider_repx.plan import plan_run
from airflow_provider_repx.targets import Capacity, ResourceRule, ResourceRules, ResourceSettings, Target, local_target
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.unit.plan.making import RunMaker, check_golden, prepare_simulate_measure, shuffle

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[3]
FIXTURES = REPOSITORY.parent / "shared" / "fixtures"
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the labs made by RepX are not beside the repository")
MACHINE = Target(name="local", base_path="/store", capacity=Capacity(cpus=16, memory=64 * 2**30))


@needs_fixtures
@pytest.mark.parametrize(
    ("lab", "run"),
    [
        ("repx-0.3.1/simple", "simulation-run"),
        ("repx-0.3.1/simple", "analysis-run"),
        ("repx-0.3.1/reference", "simulation-run"),
        ("repx-0.3.1/reference", "analysis-run"),
        ("repx-0.4.2/reference", "simulation-run"),
        ("repx-0.4.2/reference", "analysis-run"),
        ("repx-0.5.0/simple", "simulation-run"),
        ("repx-0.5.0/param-sweep", "sweep-run"),
        ("repx-0.5.0/param-sweep", "plot-run"),
        ("repx-0.5.0/mount-paths", "mount-paths-run"),
        ("repx-0.5.0/reference", "simulation-run"),
        ("repx-0.5.0/reference", "analysis-run"),
    ],
)
def test_labs_made_by_repx(lab: str, run: str) -> None:
    check_golden(plan_run(read_lab(FIXTURES / lab), run), f"{lab.replace('/', '-')}-{run}")


def test_a_lab_on_disk(tmp_path: Path) -> None:
    seeds = {seed: job_id("simulate-1.1", str(seed)) for seed in (2, 1)}
    jobs = [JobSpec(identifier, params={"seed": seed}) for seed, identifier in seeds.items()]
    upstream = RunSpec("data", [JobSpec(job_id("make-1.1"))])
    other = RunSpec("notes", [JobSpec(job_id("note-1.1"))])
    run = RunSpec("simulation", jobs, dependencies={"data": "hard", "notes": "soft"})
    plan = plan_run(read_lab(write_lab(tmp_path, [upstream, other, run], lab_id="abc")), "simulation")
    assert (plan.lab_id, plan.run, plan.target) == ("abc", "simulation", "local")
    assert plan.hard_dependencies == ("data",)
    assert plan.soft_dependencies == ("notes",)
    (chain,) = plan.chains
    assert chain.stages[0].jobs == (seeds[1], seeds[2])
    assert chain.labels == ("seed=1", "seed=2")


def test_the_usual_shape() -> None:
    maker = RunMaker()
    prepare_simulate_measure(maker)
    plan = maker.plan(MACHINE)
    _, points = plan.chains
    assert [stage.task_id for stage in points.stages] == ["simulate", "measure"]
    assert points.labels[:3] == ("temperature=0.5, seed=2", "temperature=0.5, seed=10", "temperature=1, seed=2")
    assert plan.stages["simulate"].upstream == ("prepare",)
    assert plan.stages["measure"].upstream == ("simulate",)
    check_golden(plan, "prepare-simulate-measure")


def test_a_diamond_is_one_chain() -> None:
    maker = RunMaker()
    for seed in range(3):
        top = maker.add("top", seed, params={"seed": seed})
        sides = [maker.add(name, seed, top) for name in ("left", "right")]
        maker.add("bottom", seed, *sides)
    plan = maker.plan()
    assert [[stage.task_id for stage in chain.stages] for chain in plan.chains] == [["top", "left", "right", "bottom"]]
    assert plan.stages["bottom"].upstream == ("left", "right")
    check_golden(plan, "diamond")


def test_points_of_other_sizes_get_tasks_of_their_own() -> None:
    maker = RunMaker()
    for size, cpus in (("small", 1), ("medium", 3), ("large", 4)):
        for seed in (1, 2):
            trained = maker.add("train", (size, seed), params={"size": size, "seed": seed}, cpus=cpus)
            maker.add("evaluate", (size, seed), trained, cpus=1)
    plan = maker.plan(MACHINE)
    assert {task: (stage.slots, len(stage.jobs), stage.upstream) for task, stage in plan.stages.items()} == {
        "train": (1, 2, ()),
        "evaluate": (1, 2, ("train",)),
        "train__slots_4": (4, 4, ()),
        "evaluate__part_2": (1, 4, ("train__slots_4",)),
    }
    assert [chain.labels[0] for chain in plan.chains] == ["size=small, seed=1", "size=large, seed=1"]
    check_golden(plan, "split-slots")


def test_downstream_tasks_depend_only_on_the_parts_they_read() -> None:
    maker = RunMaker()
    for size, cpus in (("small", 1), ("large", 4)):
        trained = maker.add("train", size, params={"size": size}, cpus=cpus)
        for fold in range(2):
            maker.add("score", (size, fold), trained, params={"fold": fold}, cpus=cpus)
    stages = maker.plan().stages
    assert stages["score"].upstream == ("train",)
    assert stages["score__slots_4"].upstream == ("train__slots_4",)


def test_a_gathering_stage_depends_on_all_parts() -> None:
    maker = RunMaker()
    trained = [maker.add("train", cpus, params={"size": cpus}, cpus=cpus) for cpus in (4, 1)]
    maker.add("report", "", *trained)
    assert maker.plan().stages["report"].upstream == ("train", "train__slots_4")


def test_one_stage_in_two_pipelines() -> None:
    maker = RunMaker()
    for pipeline in ("fast", "exact"):
        for seed in range(2):
            made = maker.add("train", seed, stage="train", pipeline=pipeline, params={"seed": seed})
            maker.add("plot", seed, made, stage="plot", pipeline=pipeline)
    plan = maker.plan()
    assert [[stage.task_id for stage in chain.stages] for chain in plan.chains] == [
        ["exact__train", "exact__plot"],
        ["fast__train", "fast__plot"],
    ]
    check_golden(plan, "two-pipelines")


def test_wide_sweeps_are_packed() -> None:
    maker = RunMaker()
    for seed in range(2500):
        maker.add("simulate", seed, params={"seed": seed})
    (chain,) = maker.plan().chains
    assert (chain.points, chain.chunk, chain.width) == (2500, 3, 834)
    (narrow,) = maker.plan(max_mapped=10).chains
    assert (narrow.chunk, narrow.width) == (250, 10)
    assert narrow.points_of(9) == range(2250, 2500)


def test_limits_hold_for_all_tasks_of_a_run_together() -> None:
    maker = RunMaker()
    for seed in range(40):
        first = maker.add("first", seed, params={"seed": seed})
        maker.add("second", seed, first)
    assert [chain.chunk for chain in maker.plan(max_task_instances=80).chains] == [1]
    assert [chain.chunk for chain in maker.plan(max_task_instances=79).chains] == [2]


def test_the_order_of_jobs_in_the_file_does_not_matter() -> None:
    maker = RunMaker()
    prepare_simulate_measure(maker)
    expected = maker.plan(MACHINE)
    entries = list(maker.jobs.items())
    for seed in range(5):
        shuffle(seed, entries)
        maker.jobs = dict(entries)
        assert maker.plan(MACHINE) == expected


IN_A_PROCESS = """
from tests.unit.plan.making import RunMaker, prepare_simulate_measure
maker = RunMaker()
prepare_simulate_measure(maker)
maker.add("report", "", *(job for job in maker.jobs if "measure" in job))
print(maker.plan())
"""


def test_every_process_makes_the_same_plan() -> None:
    plans = {
        subprocess.run(
            [sys.executable, "-c", IN_A_PROCESS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=REPOSITORY,
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(plans) == 1


def test_rules_decide_about_slots() -> None:
    maker = RunMaker()
    maker.add("train", cpus=2)
    rules = ResourceRules(rules=(ResourceRule(ResourceSettings(cpus=8), job_id_glob="*-train-*", target="local"),))
    assert maker.plan(rules=rules).stages["train"].slots == 8


def test_rules_may_tell_jobs_with_equal_hints_apart() -> None:
    maker = RunMaker()
    maker.add("train", cpus=2)
    maker.add("plot", cpus=2)
    rules = ResourceRules(rules=(ResourceRule(ResourceSettings(cpus=8), job_id_glob="*-train-*"),))
    assert {task: stage.slots for task, stage in maker.plan(rules=rules).stages.items()} == {"plot": 2, "train": 8}


def test_the_pool_is_planned_with_the_capacity_of_the_target() -> None:
    maker = RunMaker()
    maker.add("train")
    (pool,) = maker.plan(MACHINE).pools
    assert (pool.name, pool.slots) == ("repx_local", 16)
    (unknown,) = maker.plan().pools
    assert unknown.slots is None


def test_an_unreadable_hint_is_named() -> None:
    maker = RunMaker()
    identifier = maker.add("train", mem="much")
    with pytest.raises(TargetError, match=rf"job {identifier}: resource_hints\.mem: .*much"):
        maker.plan()


def test_a_target_that_cannot_be_honored_is_refused() -> None:
    maker = RunMaker()
    maker.add("train")
    with pytest.raises(UnsupportedTargetError, match="bwrap"):
        maker.plan(local_target("/store").model_copy(update={"execution_type": "bwrap"}))


def test_a_run_without_jobs_has_an_empty_plan() -> None:
    plan = RunMaker().plan()
    assert plan.chains == ()
    assert plan.pools == ()
