from __future__ import annotations

import pytest

from airflow_provider_repx.errors import RepxError
from airflow_provider_repx.lab.models import JobId
from airflow_provider_repx.plan.stages import find_stages, stage_name
from tests.unit.plan.making import RunMaker

pytestmark = pytest.mark.unit


def named(maker: RunMaker) -> dict[str, int]:
    return {stage.task_id: len(stage.jobs) for stage in find_stages(maker.run()).all}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("simulate-1.1", "simulate"), ("stage-A-2", "stage-A"), ("no-version", "no-version"), ("plain", "plain")],
)
def test_a_stage_is_called_like_its_jobs_without_their_version(name: str, expected: object) -> None:
    maker = RunMaker()
    job = maker.jobs[maker.add("x")].model_copy(update={"name": name})
    assert stage_name(job) == expected


def test_the_labs_own_word_counts_where_there_is_one() -> None:
    maker = RunMaker()
    for model in ("resnet", "bert"):
        maker.add(f"train-{model}", stage="train", pipeline="main", params={"model": model})
    assert named(maker) == {"train": 2}


def test_stages_of_one_name_are_told_apart_by_what_they_read() -> None:
    maker = RunMaker()
    fast = maker.add("fast")
    slow = maker.add("slow")
    for seed in range(2):
        maker.add("plot", ("fast", seed), fast, params={"seed": seed})
        maker.add("plot", ("slow", seed), slow, params={"seed": seed})
    assert named(maker) == {"fast": 1, "slow": 1, "plot__from_fast": 2, "plot__from_slow": 2}


def test_stages_of_one_name_are_told_apart_by_which_output_they_read() -> None:
    maker = RunMaker()
    made = maker.add("make")
    maker.add("plot", 1, inputs={"x": (made, "energy")})
    maker.add("plot", 2, inputs={"x": (made, "spin")})
    assert sorted(named(maker)) == ["make", "plot__from_make", "plot__from_make__2"]


def test_stages_of_one_name_are_told_apart_by_their_parameters_names() -> None:
    maker = RunMaker()
    maker.add("make", 1, params={"seed": 1})
    maker.add("make", 2, params={"width": 1})
    assert sorted(named(maker)) == ["make", "make__2"]


def test_a_stage_that_reads_from_one_of_its_own_name_is_another_stage() -> None:
    maker = RunMaker()
    first = maker.add("refine", 1)
    maker.add("refine", 2, first)
    assert named(maker) == {"refine": 1, "refine__from_refine": 1}


def test_labels_that_contradict_the_wiring_are_refined_by_it() -> None:
    maker = RunMaker()
    a1 = maker.add("a", 1, stage="a", pipeline="p")
    b1 = maker.add("b", 1, a1, stage="b", pipeline="p")
    maker.add("a", 2, b1, stage="a", pipeline="p")
    stages = find_stages(maker.run()).all
    assert [(stage.name, stage.upstream) for stage in stages] == [("a", ()), ("b", (0,)), ("a", (1,))]


def test_the_jobs_of_a_stage_are_sorted() -> None:
    maker = RunMaker()
    made = [maker.add("make", number, params={"n": number}) for number in range(9)]
    assert find_stages(maker.run()).all[0].jobs == tuple(sorted(made))


def test_stages_are_in_topological_order() -> None:
    maker = RunMaker()
    last = maker.add("zeta")
    for name in ("delta", "alpha"):
        last = maker.add(name, "", last)
    assert list(named(maker)) == ["zeta", "delta", "alpha"]


def test_a_missing_producer_is_named() -> None:
    maker = RunMaker()
    gone = JobId("0" * 32 + "-gone-1.1")
    maker.add("plot", "", gone)
    with pytest.raises(RepxError, match=gone):
        find_stages(maker.run())
