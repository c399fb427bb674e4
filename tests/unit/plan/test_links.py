from __future__ import annotations

import pytest

from airflow_provider_repx.lab.models import JobId
from airflow_provider_repx.plan.links import link_stages
from airflow_provider_repx.plan.stages import find_stages
from tests.unit.plan.making import RunMaker

pytestmark = pytest.mark.unit


def chains(maker: RunMaker) -> list[list[str]]:
    run = maker.run()
    stages = find_stages(run)
    return [[stages.all[position].task_id for position in chain.stages] for chain in link_stages(run, stages)]


def row(maker: RunMaker, name: str, width: int, *upstream: list[JobId], shift: int = 0) -> list[JobId]:
    """A stage of `width` jobs, job `i` reading job `i + shift` of each upstream stage, wrapping around."""
    return [
        maker.add(name, number, *(jobs[(number + shift) % len(jobs)] for jobs in upstream), params={"n": number})
        for number in range(width)
    ]


def test_equal_stages_that_pair_up_form_a_chain() -> None:
    maker = RunMaker()
    row(maker, "c", 4, row(maker, "b", 4, row(maker, "a", 4)))
    assert chains(maker) == [["a", "b", "c"]]


def test_points_follow_the_wiring_whatever_the_order_of_ids() -> None:
    maker = RunMaker()
    first = row(maker, "a", 12)
    second = row(maker, "b", 12, first, shift=5)
    run = maker.run()
    (chain,) = link_stages(run, find_stages(run))
    assert sorted(chain.points) == sorted(zip([*first[5:], *first[:5]], second, strict=True))


def test_a_fan_out_starts_a_new_chain() -> None:
    maker = RunMaker()
    row(maker, "b", 4, row(maker, "a", 2))
    assert chains(maker) == [["a"], ["b"]]


def test_a_fan_in_starts_a_new_chain() -> None:
    maker = RunMaker()
    jobs = row(maker, "a", 4)
    for number in range(2):
        maker.add("b", number, *jobs[2 * number : 2 * number + 2])
    assert chains(maker) == [["a"], ["b"]]


def test_equal_numbers_alone_do_not_make_a_chain() -> None:
    maker = RunMaker()
    first, _ = row(maker, "a", 2)
    for number in range(2):
        maker.add("b", number, first)
    assert chains(maker) == [["a"], ["b"]]


def test_two_roots_that_meet_one_to_one_are_one_chain() -> None:
    maker = RunMaker()
    row(maker, "c", 3, row(maker, "a", 3), row(maker, "b", 3))
    assert chains(maker) == [["a", "b", "c"]]


def test_points_of_merged_chains_follow_the_wiring() -> None:
    maker = RunMaker()
    first, second = row(maker, "a", 12), row(maker, "b", 12)
    behind = row(maker, "c", 12, second)
    both = row(maker, "d", 12, first, behind)
    run = maker.run()
    (chain,) = link_stages(run, find_stages(run))
    assert sorted(chain.points) == sorted(zip(first, second, behind, both, strict=True))


def test_what_is_behind_a_merged_chain_stays_behind_it() -> None:
    maker = RunMaker()
    first, second = row(maker, "a", 3), row(maker, "b", 3)
    # Called so that it is placed before the stage that merges the two chains.
    total = [maker.add("before", "", *second)]
    both = row(maker, "c", 3, first, second)
    row(maker, "d", 3, both, total)
    assert chains(maker) == [["a", "b", "c"], ["before"], ["d"]]


def test_a_merged_chain_stays_behind_what_it_waits_for() -> None:
    maker = RunMaker()
    start = row(maker, "a", 3)
    total = [maker.add("total", "", *start)]
    both = row(maker, "d", 3, row(maker, "b", 3), row(maker, "c", 3, total))
    row(maker, "e", 3, start, both)
    # The last stage pairs up with both chains, and the second one waits for the first.
    assert chains(maker) == [["a"], ["total"], ["b", "c", "d", "e"]]


def test_a_crossed_diamond_does_not_close() -> None:
    maker = RunMaker()
    top = row(maker, "a", 3)
    left = row(maker, "b", 3, top)
    right = row(maker, "c", 3, top, shift=1)
    row(maker, "d", 3, left, right)
    # Job i of d needs points i and i + 1 of the chain, so it is behind the chain and not in it.
    assert chains(maker) == [["a", "b", "c"], ["d"]]


def test_reading_two_jobs_of_one_stage_is_not_one_to_one() -> None:
    maker = RunMaker()
    top = row(maker, "a", 3)
    row(maker, "b", 3, top, top[1:] + top[:1])
    assert chains(maker) == [["a"], ["b"]]


def test_a_stage_that_waits_for_something_behind_the_chain_does_not_join_it() -> None:
    maker = RunMaker()
    first = row(maker, "a", 3)
    summary = [maker.add("total", "", *first)]
    row(maker, "b", 3, first, summary)
    assert chains(maker) == [["a"], ["total"], ["b"]]


def test_chains_are_not_merged_when_one_is_behind_the_other() -> None:
    maker = RunMaker()
    first = row(maker, "a", 3)
    total = [maker.add("total", "", *first)]
    second = row(maker, "b", 3, total)
    row(maker, "c", 3, first, second)
    assert chains(maker) == [["a"], ["total"], ["b", "c"]]


def test_independent_stages_stay_apart() -> None:
    maker = RunMaker()
    row(maker, "a", 3)
    row(maker, "b", 3)
    assert chains(maker) == [["a"], ["b"]]
