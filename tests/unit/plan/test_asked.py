from __future__ import annotations

import pytest

from airflow_provider_repx.errors import LabLookupError
from airflow_provider_repx.lab import JobId, Run
from airflow_provider_repx.plan.asked import asked_jobs
from airflow_provider_repx.plan.instances import idle_instances
from tests.unit.plan.making import RunMaker

pytestmark = pytest.mark.unit


@pytest.fixture
def maker() -> RunMaker:
    maker = RunMaker()
    for point in range(2):
        maker.add("measure", point, maker.add("simulate", point, maker.add("prepare", point)))
    return maker


def ids(run: Run, *names: str) -> set[JobId]:
    return {job_id for job_id, job in run.jobs.items() if job.name.removesuffix("-1.1") in names}


def test_nothing_named_means_everything(maker: RunMaker) -> None:
    run = maker.run()
    assert asked_jobs(run).wanted == set(run.jobs)
    assert asked_jobs(run).forced == set()
    assert asked_jobs(run, ["", "  "], force=True, downstream=True).forced == set(run.jobs)


def test_jobs_come_with_what_they_depend_on(maker: RunMaker) -> None:
    run = maker.run()
    assert asked_jobs(run, ["simulate"]).wanted == ids(run, "prepare", "simulate")
    assert asked_jobs(run, ["simulate"], downstream=True).wanted == set(run.jobs)


def test_force_is_about_the_jobs_named_and_what_depends_on_them(maker: RunMaker) -> None:
    run = maker.run()
    assert asked_jobs(run, ["simulate"], force=True).forced == ids(run, "simulate")
    assert asked_jobs(run, ["simulate"], force=True, downstream=True).forced == ids(run, "simulate", "measure")
    # Wanted between two that are named: it is made from what is made anew.
    assert asked_jobs(run, ["prepare", "measure"], force=True).forced == set(run.jobs)


def test_a_pattern_without_a_job_is_an_error(maker: RunMaker) -> None:
    with pytest.raises(LabLookupError, match="mesure"):
        asked_jobs(maker.run(), ["mesure"], force=True)


def test_idle_instances_are_those_without_a_busy_job(maker: RunMaker) -> None:
    plan = maker.plan()
    [chain] = plan.chains
    busy = chain.stages[2].jobs[1]
    assert set(idle_instances(plan, {busy})) == {
        (stage.task_id, index) for stage in chain.stages for index in range(2)
    } - {("measure", 1)}
    packed = maker.plan(max_mapped=1)
    assert set(idle_instances(packed, {busy})) == {("prepare", -1), ("simulate", -1)}
    assert idle_instances(plan, set(maker.jobs)) == ()
