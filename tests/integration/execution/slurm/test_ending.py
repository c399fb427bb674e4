"""Ending tries so that whoever goes on knows that nothing of them runs any more."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import pytest

from airflow_provider_repx.errors import SlurmUnknownStateError
from airflow_provider_repx.execution.slurm import JobKey, Progress, SlurmCluster, SlurmOutcome
from tests.integration.execution.slurm.farm import Farm, eventually, try_of, when

pytestmark = [pytest.mark.integration, pytest.mark.slurm]


def slow_to_end(farm: Farm) -> tuple[str, Path]:
    """A script that needs a second to end, and the file that it leaves then."""
    left = farm.path / "ended"
    return f"trap 'sleep 1; touch {shlex.quote(str(left))}; exit 1' TERM; {farm.wait_at_gate}", left


def key_of(farm: Farm) -> JobKey:
    return JobKey(try_of(), farm.paths())


def test_own_jobs_have_ended(farm: Farm) -> None:
    script, left = slow_to_end(farm)

    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        running = asyncio.create_task(cluster.run(farm.job(script=script)))
        await when(lambda: farm.runs() == 1, "the start of the job")
        await cluster.end([key_of(farm)])
        assert left.exists()
        return await running

    assert farm.together(scenario).status == "cancelled"


def test_jobs_of_a_process_that_was_killed_have_ended(farm: Farm) -> None:
    script, left = slow_to_end(farm)
    worker = farm.worker()
    worker.order(farm.job(script=script))
    eventually(lambda: farm.runs() == 1, "the start of the job")
    worker.kill()

    async def scenario(cluster: SlurmCluster) -> None:
        await cluster.end([key_of(farm)])
        assert left.exists()
        # There is nothing left to be ended.
        await cluster.end([key_of(farm), JobKey(try_of(7), farm.paths("unheard-of"))])
        assert cluster.statistics.scancel == 1

    farm.together(scenario)


def test_what_does_not_end_is_told(farm: Farm) -> None:
    worker = farm.worker()
    worker.order(farm.job(script=farm.wait_at_gate, sbatch_opts=("-w cpu1",)))
    eventually(lambda: farm.runs() == 1, "the start of the job")
    farm.slurm.kill("slurmd-cpu1")
    try:
        with pytest.raises(SlurmUnknownStateError, match="1 cancelled jobs had not ended"):
            farm.together(lambda cluster: cluster.end([key_of(farm)]), unknown_deadline=2.0)
    finally:
        farm.slurm.restart("slurmd-cpu1")


def test_what_is_given_up_while_it_is_being_claimed_never_runs(farm: Farm) -> None:
    async def scenario(cluster: SlurmCluster) -> None:
        begun = asyncio.Event()

        def listen(news: Progress) -> None:
            if "waiting for other jobs" in news.text:
                begun.set()

        waiting = asyncio.create_task(cluster.run(farm.job(script=farm.wait_at_gate), listen))
        await begun.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await cluster.cancel([key_of(farm)])
        assert (await cluster.run(farm.job("another"))).status == "succeeded"

    farm.together(scenario)
    assert not farm.arrays()
    assert farm.runs() == 0


def test_nothing_is_left_behind_in_the_event_loop(any_farm: Farm) -> None:
    farm = any_farm
    names = [f"job-{number}" for number in range(9)]

    def left() -> tuple[int, int]:
        return len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir()))

    async def scenario(cluster: SlurmCluster) -> None:
        await cluster.run(farm.job("first"))
        await when(lambda: len(asyncio.all_tasks()) <= 2, "rest")
        before = left()
        jobs = [farm.job(name, farm.wait_at_gate) for name in names]
        waiting = [asyncio.create_task(cluster.run(job, lambda _: None)) for job in jobs]
        await when(lambda: all(map(farm.runs, names)), "the start of all jobs")
        for task in waiting[:3]:
            task.cancel()
        await cluster.end([JobKey(try_of(), farm.paths(name)) for name in names[3:6]])
        farm.gate.touch()
        await asyncio.gather(*waiting, return_exceptions=True)
        await when(
            lambda: all(now <= then for now, then in zip(left(), before, strict=True)), f"rest as before: {before}"
        )

    farm.together(scenario)
