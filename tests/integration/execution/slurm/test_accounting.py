"""What the accounting is for: jobs without a record that the controller has forgotten; and when it lags or is away."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_repx.errors import SlurmUnknownStateError
from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmOutcome
from airflow_provider_repx.execution.slurm.clock import SystemClock
from tests.integration.execution.slurm.conftest import local
from tests.integration.execution.slurm.farm import PATIENCE, Farm, Witness, when
from tests.support.cluster import SlurmClusterFactory
from tools.cluster import ThrowawaySlurm

pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.full]

NOT_KNOWN = "nor Slurm tells what became of it"


class StoppedClock(SystemClock):
    """The time of this machine; but who waits goes on waiting while it is stopped, as a process that is busy."""

    def __init__(self) -> None:
        self.goes = asyncio.Event()
        self.goes.set()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await self.goes.wait()


@pytest.fixture
def forgetful(tmp_path: Path, slurm_cluster_factory: SlurmClusterFactory) -> Iterator[Farm]:
    """A cluster with accounting, whose controller forgets what has ended within ten seconds."""
    slurm = slurm_cluster_factory(accounting=True, min_job_age=2)
    farm = Farm(tmp_path, slurm, lambda: local(slurm))
    yield farm
    # The next one to stop it waits for its end.
    if slurm.is_alive("slurmdbd"):
        slurm.kill("slurmdbd", signal.SIGCONT)
    farm.close()


class Forgotten:
    """A job whose runner is killed, while nobody looks until the controller has forgotten it."""

    def __init__(self, farm: Farm, **changes: float) -> None:
        self.farm = farm
        self.clock = StoppedClock()
        settings = {"accounting_timeout": 1.0, "unknown_deadline": 120.0, "marker_grace": 1.0, **changes}
        self.cluster = SlurmCluster(replace(farm.settings, **settings), farm.connect(), clock=self.clock)  # type: ignore[arg-type]
        self.witness = Witness()

    @asynccontextmanager
    async def task(self, script: str = "kill -KILL $PPID; sleep 60") -> AsyncIterator[asyncio.Task[SlurmOutcome]]:
        """Yields when the job runs, and waits at the gate."""
        job = self.farm.job(script=f"{self.farm.wait_at_gate}\n{script}")
        try:
            task = asyncio.create_task(self.cluster.run(job, self.witness))
            await self.witness.until("running on")
            yield task
        finally:
            await self.cluster.close()

    async def is_forgotten(self, *, go_on: bool = True) -> None:
        self.clock.goes.clear()
        self.farm.gate.touch()
        slurm = self.farm.slurm
        await when(lambda: not slurm.run("squeue", "-h").stdout, "the end of the job")
        await when(lambda: "JobId" not in slurm.run("scontrol", "show", "job").stdout, "the controller to forget it")
        if go_on:
            self.clock.goes.set()


def known_to_accounting(slurm: ThrowawaySlurm, state: str) -> bool:
    return state in slurm.run("sacct", "-n", "-P", "-X", "-a", "-o", "State", check=False).stdout.split()


def test_the_accounting_knows_what_the_controller_has_forgotten(forgetful: Farm) -> None:
    async def scenario() -> SlurmOutcome:
        forgotten = Forgotten(forgetful)
        async with forgotten.task() as task:
            await forgotten.is_forgotten()
            outcome = await asyncio.wait_for(task, PATIENCE)
            assert forgotten.cluster.statistics.sacct >= 1
            return outcome

    outcome = asyncio.run(scenario())
    assert (outcome.status, outcome.cause, outcome.signal) == ("failed", "signal", signal.SIGKILL)
    assert forgetful.paths().fail.exists()


@pytest.mark.parametrize("heard", ["nothing", "of its start"])
def test_an_accounting_that_lags_is_waited_for(forgetful: Farm, heard: str) -> None:
    """It hangs while the job runs and ends; first it knows nothing, or calls the job running, and then all."""
    slurm = forgetful.slurm

    async def scenario() -> SlurmOutcome:
        if heard == "nothing":
            slurm.kill("slurmdbd", signal.SIGSTOP)
        forgotten = Forgotten(forgetful)
        async with forgotten.task() as task:
            if heard != "nothing":
                await when(lambda: known_to_accounting(slurm, "RUNNING"), "the accounting to hear of the start")
                slurm.kill("slurmdbd", signal.SIGSTOP)
            await forgotten.is_forgotten()
            await forgotten.witness.until(NOT_KNOWN)
            polls = forgotten.cluster.statistics.squeue
            await when(lambda: forgotten.cluster.statistics.squeue >= polls + 3, "three more questions to the queue")
            # It is left alone for a while after it did not answer.
            assert forgotten.cluster.statistics.sacct <= 2
            assert not task.done()
            slurm.kill("slurmdbd", signal.SIGCONT)
            return await asyncio.wait_for(task, PATIENCE)

    outcome = asyncio.run(scenario())
    assert (outcome.status, outcome.cause, forgetful.runs()) == ("failed", "signal", 1)


def test_an_accounting_that_calls_it_running_for_ever_decides_nothing(forgetful: Farm) -> None:
    """As it does of a job whose end it was not told, because the controller was killed too: a runaway job."""
    slurm = forgetful.slurm

    async def scenario() -> None:
        forgotten = Forgotten(forgetful, unknown_deadline=5.0)
        async with forgotten.task() as task:
            await when(lambda: known_to_accounting(slurm, "RUNNING"), "the accounting to hear of the start")
            slurm.kill("slurmdbd")
            await forgotten.is_forgotten(go_on=False)
            # Something new, so that the controller writes down what it knows.
            slurm.run("sbatch", "--hold", stdin="#!/bin/sh\n")
            await asyncio.to_thread(forgetful.when_saved)
            slurm.kill("slurmctld")
            slurm.restart("slurmdbd", wait=False)
            await when(lambda: known_to_accounting(slurm, "RUNNING"), "the accounting to answer again")
            slurm.restart("slurmctld")
            forgotten.clock.goes.set()
            with pytest.raises(SlurmUnknownStateError, match="neither as done nor as failed"):
                await asyncio.wait_for(task, PATIENCE)
            assert NOT_KNOWN in forgotten.witness.texts
            assert known_to_accounting(slurm, "RUNNING")

    asyncio.run(scenario())


def test_an_accounting_that_is_down_costs_nothing_but_the_knowledge(forgetful: Farm) -> None:
    async def scenario() -> None:
        forgetful.slurm.kill("slurmdbd")
        forgotten = Forgotten(forgetful, unknown_deadline=3.0)
        async with forgotten.task() as task:
            await forgotten.is_forgotten()
            with pytest.raises(SlurmUnknownStateError, match="neither as done nor as failed"):
                await asyncio.wait_for(task, PATIENCE)
            # What has a record needs no accounting.
            done = await forgotten.cluster.run(forgetful.job("good-1"))
            assert done.status == "succeeded"

    asyncio.run(scenario())
    assert not forgetful.paths().success.exists()
    assert not forgetful.paths().fail.exists()
