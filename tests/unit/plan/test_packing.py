from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.plan.packing import Packing, SlotDemand
from airflow_provider_repx.targets import Capacity, Target
from tests.unit.plan.making import RunMaker

pytestmark = pytest.mark.unit


def sweep(points: int, **hints: object) -> RunMaker:
    maker = RunMaker()
    for point in range(points):
        first = maker.add("simulate", point, params={"seed": point}, **hints)
        maker.add("measure", point, first)
    return maker


def target(cpus: int, scheduler: str = "local") -> Target:
    return Target.model_validate(
        {"name": "here", "base_path": "/store", "scheduler": scheduler, "capacity": Capacity(cpus=cpus, memory=2**40)}
    )


def test_one_task_per_job_unless_asked() -> None:
    [chain] = sweep(40).plan(target(2)).chains
    assert (chain.chunk, chain.width) == (1, 40)
    assert {stage.parallel for stage in chain.stages} == {1}


def test_a_given_number_of_points_share_a_task() -> None:
    [chain] = sweep(40).plan(target(32), chunk=7).chains
    assert (chain.chunk, chain.width) == (7, 6)
    # A task takes a quarter of the pool at most: eight CPUs, so that all seven jobs run at once.
    assert {stage.parallel for stage in chain.stages} == {7}
    assert chain.label_of(5) == "seed=35 (+4)"


def test_auto_leaves_small_sweeps_alone() -> None:
    [chain] = sweep(32).plan(target(2), chunk="auto").chains
    assert chain.chunk == 1


@pytest.mark.parametrize(("cpus", "width", "parallel"), [(2, 8, 1), (32, 16, 8)])
def test_auto_fills_the_pool_four_times(cpus: int, width: int, parallel: int) -> None:
    [chain] = sweep(1000).plan(target(cpus), chunk="auto").chains
    assert chain.width == width
    assert {stage.parallel for stage in chain.stages} == {parallel}


def test_auto_keeps_to_the_time_that_jobs_may_take() -> None:
    [chain] = sweep(1000, time="00:20:00").plan(target(2), chunk="auto").chains
    assert chain.chunk == 3
    [chain] = sweep(100, time="02:00:00").plan(target(2), chunk="auto").chains
    assert chain.chunk == 1


def test_auto_does_not_concern_slurm() -> None:
    [chain] = sweep(1000).plan(target(2, "slurm"), chunk="auto").chains
    assert chain.chunk == 1
    [chain] = sweep(1000).plan(target(32, "slurm"), chunk=10).chains
    assert chain.chunk == 10
    assert {stage.parallel for stage in chain.stages} == {1}


def test_bounds_hold_whatever_is_asked() -> None:
    chains = sweep(1000).plan(target(2), chunk=2, max_mapped=100).chains
    assert [chain.chunk for chain in chains] == [10]


@given(st.integers(1, 5000), st.integers(1, 500), st.integers(1, 64), st.integers(1, 128))
def test_jobs_run_in_full_rounds(points: int, chunk: int, slots: int, pool: int) -> None:
    share = SlotDemand(min(slots, pool), pool)
    packing = Packing(chunk, in_parallel=True)
    least = packing.least(points, [share], [None])
    assert 1 <= least <= points
    parallel = packing.parallel(least, share)
    assert 1 <= parallel <= min(least, share.at_once)
    # One job fewer at once would need one more round.
    rounds = -(-least // parallel)
    assert parallel == 1 or -(-least // (parallel - 1)) > rounds
