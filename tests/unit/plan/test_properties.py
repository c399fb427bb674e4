from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_repx.plan import RunPlan
from airflow_provider_repx.targets import Capacity, Target
from tests.unit.plan.making import RunMaker, shuffle

pytestmark = pytest.mark.unit

MACHINE = Target(name="local", base_path="/store", capacity=Capacity(cpus=8, memory=2**34))


@st.composite
def layered_runs(draw: Any) -> RunMaker:
    """Runs of up to six stages; a stage reads from some of those before it, one-to-one or anyhow."""
    maker = RunMaker()
    layers: list[list[Any]] = []
    for number in range(draw(st.integers(1, 6))):
        sources = draw(st.lists(st.sampled_from(layers), unique_by=id, max_size=3)) if layers else []
        width = draw(st.sampled_from([len(source) for source in sources] + [1, 2, 4]))
        kind = draw(st.sampled_from(["paired", "shifted", "all", "random"]))
        labeled = draw(st.booleans())
        mixed = draw(st.booleans())
        sizes = draw(st.sampled_from([[1], [1, 3, 9]]))
        jobs = []
        for index in range(width):
            reads: list[Any] = []
            for source in sources:
                if kind == "all":
                    reads += source
                elif kind == "random":
                    reads += draw(st.lists(st.sampled_from(source), max_size=2, unique=True))
                else:
                    reads.append(source[(index + (kind == "shifted")) % len(source)])
            jobs.append(
                maker.add(
                    f"stage{draw(st.integers(0, 2))}" if mixed else f"stage{number}",
                    (number, index),
                    *reads,
                    stage=f"stage{number}" if labeled else None,
                    pipeline="main" if labeled else None,
                    params={"index": draw(st.sampled_from([index, index % 2, "x", 1.5]))},
                    cpus=draw(st.sampled_from(sizes)),
                )
            )
        layers.append(jobs)
    return maker


def check(plan: RunPlan, maker: RunMaker) -> None:
    placed = [job for stage in plan.stages.values() for job in stage.jobs]
    assert sorted(placed) == sorted(maker.jobs)
    ids = [*plan.stages, *(chain.group_id for chain in plan.chains)]
    assert len(ids) == len(set(ids))
    assert sum(len(chain.stages) for chain in plan.chains) == len(plan.stages)
    task_of = {job: task for task, stage in plan.stages.items() for job in stage.jobs}
    done: set[str] = set()
    for chain in plan.chains:
        members = {stage.task_id: stage for stage in chain.stages}
        assert len(set(chain.labels)) == chain.points
        assert len({(stage.pool, stage.slots) for stage in chain.stages for _ in stage.jobs}) <= len(chain.stages)
        for stage in chain.stages:
            assert len(stage.jobs) == chain.points
            assert set(stage.upstream) == {task_of[read] for job in stage.jobs for read in maker.jobs[job].producers}
            # What a task waits for is before it: in the order of chains, or before it in its own chain.
            assert set(stage.upstream) <= done
            for upstream in set(stage.upstream) & members.keys():
                source = members[upstream].jobs
                for point, job in enumerate(stage.jobs):
                    assert {read for read in maker.jobs[job].producers if task_of[read] == upstream} == {source[point]}
            done.add(stage.task_id)


@settings(max_examples=150, deadline=None)
@given(layered_runs(), st.integers())
def test_plans_of_any_run(maker: RunMaker, seed: int) -> None:
    plan = maker.plan(MACHINE, max_mapped=3)
    check(plan, maker)
    assert all(chain.width <= 3 for chain in plan.chains)
    entries = list(maker.jobs.items())
    shuffle(seed, entries)
    maker.jobs = dict(entries)
    assert maker.plan(MACHINE, max_mapped=3) == plan
