"""Three workers want the same jobs while workers, runners and scripts are killed at random."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.integration.execution.bench import Bench, Worker, try_of

if TYPE_CHECKING:
    from airflow_provider_repx.lab import JobId

pytestmark = [pytest.mark.integration, pytest.mark.full]


def kill_something(bench: Bench, workers: list[Worker], job: JobId, chance: random.Random) -> None:
    victim = chance.choice(["worker", "runner", "script", "everything"])
    if victim == "worker":
        number = chance.randrange(len(workers))
        workers[number].end(signal.SIGKILL)
        workers[number] = bench.worker()
        workers[number].order(job, try_of(2, run_id=f"run-{number}"))
        return
    processes = bench.processes(job)
    for process in {"runner": processes[:1], "script": processes[-1:], "everything": processes}[victim]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_killed_a_job_runs_once_at_a_time_and_success_is_true(bench: Bench, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    jobs = [bench.add(f"chaos-{number}", "sleep 0.3; echo done > data.txt") for number in range(25)]
    workers = [bench.worker() for _ in range(3)]
    for job in jobs:
        for number, worker in enumerate(workers):
            worker.order(job, try_of(1, run_id=f"run-{number}"))
        for _ in range(chance.randint(0, 3)):
            time.sleep(chance.random() * 0.3)
            kill_something(bench, workers, job, chance)
        statuses = [worker.answer()["status"] for worker in workers]
        done = bench.paths(job).success.exists()
        # Fails if the job ever ran twice at the same time.
        assert bench.runs(job) >= 1 or not done
        assert done == ("succeeded" in statuses)
        assert bench.completions().get(job, False) is done
        assert not done or (bench.paths(job).out / "data.txt").read_text() == "done\n"
        assert not bench.paths(job).claim.exists()
