from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.errors import PlanError
from airflow_provider_repx.plan.chunks import Extent, chunk_sizes

pytestmark = pytest.mark.unit


def chunks(*extents: tuple[int, int], max_mapped: int = 1000, max_task_instances: int = 3000) -> tuple[int, ...]:
    chains = [Extent(points, tasks) for points, tasks in extents]
    return chunk_sizes(chains, max_mapped=max_mapped, max_task_instances=max_task_instances, run="r")


def test_small_runs_have_one_task_per_job() -> None:
    assert chunks((1000, 1), (1000, 2)) == (1, 1)


def test_wide_chains_are_packed() -> None:
    assert chunks((1001, 1), (10_000, 1)) == (2, 10)


def test_only_the_widest_chains_are_narrowed() -> None:
    assert chunks((1000, 2), (1000, 2), (10, 5)) == (2, 2, 1)


def test_a_run_with_too_many_tasks_is_refused() -> None:
    with pytest.raises(PlanError, match="run r: has 31 tasks, more than the 30"):
        chunks((5, 31), max_task_instances=30)


@pytest.mark.parametrize("limit", ["max_mapped", "max_task_instances"])
def test_limits_below_one_are_refused(limit: str) -> None:
    with pytest.raises(PlanError, match=f"{limit} is 0"):
        chunks((5, 1), **{limit: 0})


@given(st.lists(st.tuples(st.integers(1, 20_000), st.integers(1, 5)), max_size=8), st.integers(1, 1500))
def test_the_limits_hold(extents: list[tuple[int, int]], max_mapped: int) -> None:
    found = chunks(*extents, max_mapped=max_mapped, max_task_instances=500)
    widths = [-(-points // chunk) for (points, _), chunk in zip(extents, found, strict=True)]
    assert all(width <= max_mapped for width in widths)
    assert sum(width * tasks for width, (_, tasks) in zip(widths, extents, strict=True)) <= 500
