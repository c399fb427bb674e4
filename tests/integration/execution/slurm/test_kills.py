"""Whatever is killed, and whenever: each job is run once, and its outcome is the right one."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_repx.execution.store import Claimant, read_claim, try_claim
from airflow_provider_repx.execution.store.claim import Claim, HeldClaim, claim_is_live
from tests.integration.execution.slurm.farm import Farm, Witness, eventually, try_of, when

if TYPE_CHECKING:
    from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmJob, SlurmOutcome

pytestmark = [pytest.mark.integration, pytest.mark.slurm]

NAMES = ["a-1", "b-1", "c-1"]


def jobs(farm: Farm, number: int = 1, script: str = "", **asked: Any) -> list[SlurmJob]:
    return [farm.job(name, script, claimant=try_of(number, map_index=i), **asked) for i, name in enumerate(NAMES)]


def wrapped_sbatch(farm: Farm, monkeypatch: pytest.MonkeyPatch, before: str = "", after: str = "") -> None:
    """Put a program before the real `sbatch` that a killed process finds its end in."""
    real = shutil.which("sbatch")
    assert real is not None
    folder = farm.path / "bin"
    folder.mkdir()
    program = folder / "sbatch"
    program.write_text(f'#!/bin/bash\n{before}\n"{real}" "$@" || exit\n{after}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def all_taken_over(farm: Farm, *, executions: int = 1, number: int = 1) -> list[SlurmOutcome]:
    """A new process finds the same tries again; every job has run once."""
    farm.gate.touch()
    outcomes = farm.run(*jobs(farm, number, farm.wait_at_gate))
    assert [outcome.status for outcome in outcomes] == ["succeeded"] * 3
    assert [farm.runs(name) for name in NAMES] == [executions] * 3
    assert farm.completions() == dict.fromkeys(NAMES, True)
    return outcomes


def test_killed_before_it_submits(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped_sbatch(farm, monkeypatch, before=f"touch '{farm.path}/reached'; sleep 600")
    worker = farm.worker()
    worker.order(*jobs(farm, script=farm.wait_at_gate))
    eventually((farm.path / "reached").exists, "the submission")
    worker.kill()
    monkeypatch.undo()
    assert claim_is_live(farm.paths("a-1").claim)
    all_taken_over(farm)


def test_killed_while_it_submits(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped_sbatch(farm, monkeypatch, after=f"touch '{farm.path}/reached'; sleep 600")
    worker = farm.worker()
    worker.order(*jobs(farm, script=farm.wait_at_gate))
    eventually((farm.path / "reached").exists, "the submission")
    worker.kill()
    monkeypatch.undo()
    all_taken_over(farm)


def test_a_submission_that_outlives_its_process_by_far(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped_sbatch(
        farm, monkeypatch, before=f"touch '{farm.path}/reached'; until [[ -e {farm.path}/go ]]; do sleep 0.1; done"
    )
    worker = farm.worker()
    worker.order(*jobs(farm))
    eventually((farm.path / "reached").exists, "the submission")
    worker.kill()
    monkeypatch.undo()
    all_taken_over(farm)
    (farm.path / "go").touch()
    said = eventually(lambda: [file for file in farm.settings.base_path.glob("repx/slurm/*/said") if file.read_text()])
    eventually(lambda: said[0].read_text().count("does not count any more") == 3, "three fenced elements")
    assert [farm.runs(name) for name in NAMES] == [1, 1, 1]


def test_killed_while_they_are_pending(farm: Farm) -> None:
    worker = farm.worker()
    worker.order(*jobs(farm, script=farm.wait_at_gate, sbatch_opts=("--begin=now+1hour",)))
    [array] = eventually(farm.arrays, "the array")
    worker.kill()
    farm.slurm.run("scontrol", "update", f"JobId={array}", "StartTime=now")
    outcomes = all_taken_over(farm)
    assert {outcome.slurm_id.partition("_")[0] for outcome in outcomes} == {array}


def test_killed_while_they_run(farm: Farm) -> None:
    worker = farm.worker()
    worker.order(*jobs(farm, script=farm.wait_at_gate))
    eventually(lambda: all(farm.runs(name) for name in NAMES), "the start of all jobs")
    worker.kill()
    # The next try: the process that made the first one is dead, so its jobs are orphans as good as any.
    outcomes = all_taken_over(farm, number=2)
    assert all(outcome.reused for outcome in outcomes)


def test_killed_when_they_have_ended(farm: Farm) -> None:
    worker = farm.worker()
    worker.order(*jobs(farm, script=f"{farm.wait_at_gate}; exit 7"))
    eventually(lambda: all(farm.runs(name) for name in NAMES), "the start of all jobs")
    worker.kill()
    farm.gate.touch()
    eventually(lambda: all(farm.paths(name).fail.exists() for name in NAMES), "the end of all jobs")
    outcomes = farm.run(*jobs(farm, 2))
    assert [(outcome.status, outcome.exit_code, outcome.reused) for outcome in outcomes] == [("failed", 7, True)] * 3
    assert farm.completions() == dict.fromkeys(NAMES, False)
    # That failure was reported now: the try after it is a new one.
    assert [outcome.status for outcome in farm.run(*jobs(farm, 3))] == ["succeeded"] * 3
    assert [farm.runs(name) for name in NAMES] == [2, 2, 2]


def test_two_processes_submit_the_same_jobs_at_once(farm: Farm) -> None:
    names = [f"point-{number}" for number in range(100)]
    workers = [farm.worker(), farm.worker()]
    for number, worker in enumerate(workers):
        worker.order(*(farm.job(name, claimant=try_of(run_id=f"run-{number}")) for name in names))
    answers = [worker.answer(120) for worker in workers for _ in names]
    assert {answer["status"] for answer in answers} == {"succeeded"}
    assert sorted(answer["reused"] for answer in answers) == [False] * 100 + [True] * 100
    assert [farm.runs(name) for name in names] == [1] * 100


def test_a_cleared_try_is_ended_by_the_next_one(farm: Farm) -> None:
    async def scenario(cluster: SlurmCluster) -> list[SlurmOutcome]:
        first = asyncio.create_task(cluster.run(farm.job(script=farm.wait_at_gate)))
        await when(lambda: farm.runs() == 1, "the start of the job")
        second = asyncio.create_task(cluster.run(farm.job(claimant=try_of(2))))
        return [await first, await second]

    first, second = farm.together(scenario)
    assert (first.status, second.status, second.reused, farm.runs()) == ("cancelled", "succeeded", False, 2)


def test_another_process_ends_a_cleared_try(farm: Farm) -> None:
    worker = farm.worker()
    worker.order(farm.job(script=farm.wait_at_gate))
    eventually(lambda: farm.runs() == 1, "the start of the job")
    outcome = farm.run_one(farm.job(claimant=try_of(2)))
    assert (outcome.status, outcome.reused, farm.runs()) == ("succeeded", False, 2)
    assert worker.answer()["status"] == "cancelled"


def test_another_dag_run_waits_and_takes_a_failure(farm: Farm) -> None:
    worker = farm.worker()
    worker.order(farm.job(script=f"{farm.wait_at_gate}; exit 6"))
    eventually(lambda: farm.runs() == 1, "the start of the job")

    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        task = asyncio.create_task(cluster.run(farm.job(claimant=try_of(run_id="other")), witness := Witness()))
        await witness.until("being run by DAG run manual")
        await witness.until("running on")
        farm.gate.touch()
        return await task

    outcome = farm.together(scenario)
    assert (outcome.status, outcome.exit_code, outcome.reused, farm.runs()) == ("failed", 6, True, 1)


def test_cancelling_the_waiting_coroutine_cancels_nothing(farm: Farm) -> None:
    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        job = farm.job(script=farm.wait_at_gate)
        task = asyncio.create_task(cluster.run(job))
        await when(lambda: farm.runs() == 1, "the start of the job")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        farm.gate.touch()
        assert cluster.statistics.scancel == 0
        return await cluster.run(job)

    assert (farm.together(scenario).status, farm.runs()) == ("succeeded", 1)


@pytest.mark.parametrize(
    "phase",
    ["pending", pytest.param("running", marks=pytest.mark.full), pytest.param("ending", marks=pytest.mark.full)],
)
def test_the_controller_is_killed(farm: Farm, phase: str) -> None:
    asked = {"sbatch_opts": ("--begin=now+1hour",)} if phase == "pending" else {}

    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        job = farm.job(script=farm.wait_at_gate, **asked)
        task = asyncio.create_task(cluster.run(job, witness := Witness()))
        there = await witness.until("pending" if phase == "pending" else "running on")
        # Another job makes the controller save its state.
        farm.slurm.run("sbatch", "--begin=now+1hour", "--wrap", "true", "-o", "/dev/null")
        await asyncio.to_thread(farm.when_saved)
        farm.slurm.kill("slurmctld")
        if phase == "ending":
            farm.gate.touch()
        await witness.until("does not answer")
        await asyncio.to_thread(farm.slurm.restart, "slurmctld")
        assert phase == "ending" or not task.done()
        farm.gate.touch()
        if phase == "pending":
            farm.slurm.run("scontrol", "update", f"JobId={there.slurm_id.partition('_')[0]}", "StartTime=now")
        return await task

    outcome = farm.together(scenario, command_timeout=5.0)
    assert (outcome.status, farm.runs()) == ("succeeded", 1)


@pytest.mark.full
def test_the_controller_is_down_at_submission(farm: Farm) -> None:
    farm.slurm.kill("slurmctld")

    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        task = asyncio.create_task(cluster.run(farm.job(), witness := Witness()))
        await witness.until("as soon as Slurm answers")
        await asyncio.to_thread(farm.slurm.restart, "slurmctld")
        return await task

    outcome = farm.together(scenario, command_timeout=5.0)
    assert (outcome.status, farm.runs()) == ("succeeded", 1)


@pytest.mark.full
def test_a_node_daemon_is_killed(farm: Farm) -> None:
    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        task = asyncio.create_task(
            cluster.run(farm.job(script=farm.wait_at_gate, sbatch_opts=("-w cpu1",)), witness := Witness())
        )
        await witness.until("running on")
        farm.slurm.kill("slurmd-cpu1")
        farm.gate.touch()
        await asyncio.to_thread(farm.slurm.restart, "slurmd-cpu1")
        return await task

    assert (farm.together(scenario).status, farm.runs()) == ("succeeded", 1)


def test_local_and_slurm_claims_exclude_each_other(farm: Farm) -> None:
    assert farm.run_one(farm.job(script="exit 1")).status == "failed"
    claim = farm.paths().claim
    assert not claim_is_live(claim)
    local = try_claim(claim, Claimant(label="a person"))
    assert isinstance(local, Claim)

    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        task = asyncio.create_task(
            cluster.run(farm.job(claimant=try_of(2), script=farm.wait_at_gate), witness := Witness())
        )
        await witness.until("being run by a person")
        local.release()
        await when(lambda: farm.runs() == 2, "the start of the job")
        held = try_claim(claim, Claimant(label="a person"))
        assert isinstance(held, HeldClaim)
        assert held.record.array.startswith("repx-")
        assert claim_is_live(claim)
        farm.gate.touch()
        return await task

    assert farm.together(scenario).status == "succeeded"
    assert not claim_is_live(claim)
    record = read_claim(claim)
    assert record is not None
    assert record.claimant == try_of(2)


def test_a_dead_local_claim_is_removed(farm: Farm) -> None:
    farm.paths().repx.mkdir(parents=True)
    local = try_claim(farm.paths().claim, Claimant(label="a person"))
    assert isinstance(local, Claim)
    local.leave()
    assert farm.run_one(farm.job()).status == "succeeded"
