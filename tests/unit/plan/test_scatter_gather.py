from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_repx.errors import PlanError, TargetError
from airflow_provider_repx.lab.models import ResourceHints
from airflow_provider_repx.plan import RunPlan
from airflow_provider_repx.targets import Capacity, ResourceRule, ResourceRules, ResourceSettings, Target
from tests.unit.plan.making import RunMaker, check_golden

pytestmark = pytest.mark.unit

DIAMOND = {"join": ("left", "right"), "left": ("start",), "right": ("start",), "start": ()}


def source_split_report(maker: RunMaker, seeds: int) -> None:
    """source -> split (a diamond) -> report for each seed."""
    for seed in range(1, seeds + 1):
        source = maker.add("source", seed, params={"seed": seed})
        split = maker.add("split", seed, source, stage_type="scatter-gather", steps=DIAMOND)
        maker.add("report", seed, split)


def test_a_diamond_between_plain_stages() -> None:
    maker = RunMaker()
    source_split_report(maker, 1)
    plan = maker.plan()
    assert [chain.group_id for chain in plan.chains] == ["source__points", "report__points"]
    (group,) = plan.scatter_gathers
    assert group.task_ids == (
        "split.scatter",
        "split.branches",
        "split.step-start",
        "split.step-left",
        "split.step-right",
        "split.step-join",
        "split.gather",
    )
    assert group.upstream == ("source",)
    assert plan.stages["report"].upstream == ("split.gather",)
    assert plan.jobs_of["split.gather"] == group.jobs
    assert plan.widths == {"source": 1, "report": 1, "split.scatter": 1, "split.gather": 1}
    check_golden(plan, "scatter-gather-diamond")


def test_each_job_has_a_group_of_its_own_while_they_are_few() -> None:
    maker = RunMaker()
    source_split_report(maker, 8)
    plan = maker.plan()
    assert [group.group_id for group in plan.scatter_gathers] == ["split", *(f"split__{n}" for n in range(2, 9))]
    assert [group.label for group in plan.scatter_gathers] == [f"seed={seed}" for seed in range(1, 9)]
    assert all(len(group.jobs) == group.job_width == 1 for group in plan.scatter_gathers)
    assert plan.stages["report"].upstream == tuple(group.gather.task_id for group in plan.scatter_gathers)
    # Three thousand task instances, less 8 for branches, 16 for scatter and gather, and 16 for the plain stages.
    assert {group.width for group in plan.scatter_gathers} == {(3000 - 8 - 16 - 16) // (8 * 4)}


def test_many_jobs_share_their_tasks() -> None:
    maker = RunMaker()
    source_split_report(maker, 9)
    plan = maker.plan()
    (group,) = plan.scatter_gathers
    assert (group.group_id, group.label, group.job_width, group.chunk) == ("split", "", 9, 1)
    assert group.labels == tuple(f"seed={seed}" for seed in range(1, 10))
    assert plan.widths["split.gather"] == 9
    check_golden(plan, "scatter-gather-wide")


def test_many_jobs_of_several_sizes_share_tasks_by_size() -> None:
    maker = RunMaker()
    for seed in range(12):
        maker.add("split", seed, params={"seed": seed}, stage_type="scatter-gather", cpus=1 if seed % 3 else 4)
    plan = maker.plan()
    assert {group.group_id: (len(group.jobs), group.scatter.slots) for group in plan.scatter_gathers} == {
        "split": (8, 1),
        "split__2": (4, 4),
    }


def test_scatter_gather_stages_one_behind_the_other() -> None:
    maker = RunMaker()
    first = maker.add("first", stage_type="scatter-gather")
    second = maker.add("second", "", first, stage_type="scatter-gather")
    plan = maker.plan()
    groups = {group.stage: group for group in plan.scatter_gathers}
    assert groups["second"].upstream == ("first.gather",)
    assert groups["second"].jobs == (second,)
    assert plan.chains == ()


def test_a_wide_stage_is_packed() -> None:
    maker = RunMaker()
    source_split_report(maker, 4000)
    plan = maker.plan()
    assert plan.chains[0].width <= 1000
    (group,) = plan.scatter_gathers
    assert sum(plan.widths.values()) + 1 + 4 * group.width <= 3000
    assert [job for index in range(group.job_width) for job in group.points_of(index)] == list(range(4000))


def test_no_more_branches_than_airflow_maps() -> None:
    maker = RunMaker()
    maker.add("split", stage_type="scatter-gather")
    assert [maker.plan(max_mapped=limit).scatter_gathers[0].width for limit in (10, 5000)] == [10, 1024]
    assert maker.plan(max_task_instances=20).scatter_gathers[0].width == 17
    with pytest.raises(PlanError, match="has 2 tasks, more than the 1 task instances"):
        maker.plan(max_task_instances=2)


def test_steps_have_their_own_resources() -> None:
    maker = RunMaker()
    job = maker.add("split", stage_type="scatter-gather", steps={"small": (), "large": ("small",)}, cpus=2)
    record = maker.jobs[job]
    large = record.executables["step-large"].model_copy(update={"resource_hints": ResourceHints(cpus=8)})
    gather = record.executables["gather"].model_copy(update={"resource_hints": ResourceHints(mem="9G")})
    maker.jobs[job] = record.model_copy(
        update={"executables": {**record.executables, "step-large": large, "gather": gather}}
    )
    machine = Target(name="local", base_path="/store", capacity=Capacity(cpus=16, memory=16 * 2**30))
    (group,) = maker.plan(machine).scatter_gathers
    assert {part.task_id: part.slots for part in group.parts} == {
        "split.scatter": 2,
        "split.step-small": 2,
        "split.step-large": 8,
        "split.gather": 16,
    }
    workers = ResourceRules(
        default_worker_resources=ResourceSettings(cpus=4),
        rules=(
            ResourceRule(ResourceSettings(cpus=1), worker_resources=ResourceSettings(cpus=16)),
            ResourceRule(ResourceSettings(), job_id_glob="other"),
        ),
    )
    (group,) = maker.plan(machine, rules=workers).scatter_gathers
    assert [part.slots for part in group.parts] == [1, 16, 16, 16]
    weakest = ResourceRules(default_worker_resources=ResourceSettings(cpus=4))
    (group,) = maker.plan(machine, rules=weakest).scatter_gathers
    assert [part.slots for part in group.parts] == [2, 4, 8, 16]


def test_a_step_that_asks_for_nonsense_is_named() -> None:
    maker = RunMaker()
    job = maker.add("split", stage_type="scatter-gather")
    record = maker.jobs[job]
    only = record.executables["step-only"].model_copy(update={"resource_hints": ResourceHints(mem="lots")})
    maker.jobs[job] = record.model_copy(update={"executables": {**record.executables, "step-only": only}})
    with pytest.raises(TargetError, match=f"job {job}: step-only: resource_hints.mem"):
        maker.plan()


def test_a_step_that_is_too_large_for_its_partition_is_named() -> None:
    maker = RunMaker()
    job = maker.add("split", stage_type="scatter-gather", cpus=64)
    cluster = Target(name="c", base_path="/store", scheduler="slurm", capacity=Capacity(cpus=32))
    with pytest.raises(PlanError, match=f"job {job} scatter asks for 64 CPUs"):
        maker.plan(cluster)


def test_odd_names_become_ids_that_airflow_takes() -> None:
    maker = RunMaker()
    maker.add("a.b+c", stage_type="scatter-gather", steps={"süß $x": (), "gather": ("süß $x",)})
    maker.add("a_b_c.gather")
    maker.add("a_b_c__2__steps")
    maker.add("a_b_c__steps")
    (group,) = maker.plan().scatter_gathers
    assert group.group_id == "a_b_c__3"
    assert [step.task_id for step in group.steps] == ["a_b_c__3.step-s_x", "a_b_c__3.step-gather"]
    assert group.gather.task_id == "a_b_c__3.gather"
    assert [step.name for step in group.steps] == ["süß $x", "gather"]


@st.composite
def step_graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Steps with any dependencies and one last step, in any order."""
    names = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True))
    steps: dict[str, tuple[str, ...]] = {}
    for position, name in enumerate(names):
        earlier = names[:position]
        steps[name] = tuple(draw(st.lists(st.sampled_from(earlier), unique=True))) if earlier else ()
    depended_on = {dependency for deps in steps.values() for dependency in deps}
    steps["sink"] = tuple(name for name in names if name not in depended_on)
    return dict(draw(st.permutations(list(steps.items()))))


@given(step_graphs(), st.integers(1, 20))
def test_steps_follow_what_they_depend_on(steps: dict[str, tuple[str, ...]], seeds: int) -> None:
    maker = RunMaker()
    jobs = [maker.add("split", seed, stage_type="scatter-gather", steps=steps) for seed in range(seeds)]
    plan: RunPlan = maker.plan()
    assert sorted(job for group in plan.scatter_gathers for job in group.jobs) == sorted(jobs)
    for group in plan.scatter_gathers:
        order = [step.name for step in group.steps]
        assert {step.name: step.deps for step in group.steps} == steps
        assert all(order.index(needed) < order.index(name) for name, deps in steps.items() for needed in deps)
        assert order[-1] == "sink"
    ids = [task_id for group in plan.scatter_gathers for task_id in group.task_ids]
    assert len(ids) == len(set(ids))
    assert maker.plan() == plan


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 200), st.integers(30, 3000))
def test_the_limits_hold(seeds: int, max_mapped: int, max_task_instances: int) -> None:
    maker = RunMaker()
    source_split_report(maker, seeds)
    plan = maker.plan(max_mapped=max_mapped, max_task_instances=max_task_instances)
    steps = sum(len(group.steps) * group.width for group in plan.scatter_gathers)
    others = sum(plan.widths.values()) + len(plan.scatter_gathers)
    # Each step has at least one map index, however small the limit is.
    assert others + steps <= max(max_task_instances, others + 4 * len(plan.scatter_gathers))
    assert all(group.job_width <= max_mapped and group.width <= max_mapped for group in plan.scatter_gathers)


def test_the_fingerprint_tells_jobs_apart() -> None:
    def fingerprint(*seeds: int) -> str:
        maker = RunMaker()
        for seed in seeds:
            maker.add("split", seed, stage_type="scatter-gather")
        return maker.plan().fingerprint

    found = [fingerprint(1), fingerprint(2), fingerprint(1, 2), fingerprint(*range(9))]
    assert len(set(found)) == len(found)
