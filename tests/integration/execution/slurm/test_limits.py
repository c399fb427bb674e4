"""Limits of clusters and pools, numbers of processes, short memories, accounting, shared stores."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.errors import SlurmUnknownStateError
from airflow_provider_repx.execution.slurm import PoolShare, discover_partitions
from tests.integration.execution.slurm.conftest import local
from tests.integration.execution.slurm.farm import Farm, Witness, try_of, when

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmOutcome
    from tests.support.cluster import SlurmClusterFactory
    from tools.cluster import ThrowawaySlurm

pytestmark = [pytest.mark.integration, pytest.mark.slurm]


def own_farm(tmp_path: Path, slurm: ThrowawaySlurm) -> Farm:
    return Farm(tmp_path, slurm, lambda: local(slurm))


@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.full)])
def test_processes_do_not_grow_with_the_jobs(any_farm: Farm, number: int) -> None:
    farm = any_farm
    jobs = [farm.job(f"point-{index}", farm.wait_at_gate, mem=2**20) for index in range(number)]

    async def scenario(cluster: SlurmCluster) -> list[SlurmOutcome]:
        tasks = [asyncio.create_task(cluster.run(job)) for job in jobs]
        await when(lambda: cluster.statistics.squeue >= 3, "three questions to the queue")
        waiting = cluster.statistics
        assert (waiting.sbatch, waiting.sacct) == (1, 0)
        assert waiting.scontrol <= 2
        # Ship, look, claim, submit, and at most one look per question to the queue.
        assert waiting.script <= 4 + waiting.squeue
        farm.gate.touch()
        return list(await asyncio.gather(*tasks))

    outcomes = farm.together(scenario)
    assert {outcome.status for outcome in outcomes} == {"succeeded"}
    assert all(farm.runs(job.name) == 1 for job in jobs)


def test_a_pool_limits_what_runs_at_once(farm: Farm) -> None:
    share = PoolShare("repx_main", 4, 2)
    count = f"ls '{farm.path}/inside' | wc -l >>'{farm.path}/most'"
    script = (
        f"mkdir -p '{farm.path}/inside'; touch '{farm.path}/inside/'$$; {count}; sleep 0.3; rm '{farm.path}/inside/'$$"
    )
    first = [farm.job(f"a-{index}", script, share=share) for index in range(4)]
    second = [farm.job(f"b-{index}", script, share=share, mem=2**21) for index in range(2)]
    outcomes = farm.run(*first, *second)
    assert {outcome.status for outcome in outcomes} == {"succeeded"}
    assert max(int(line) for line in (farm.path / "most").read_text().split()) <= 2


def test_arrays_keep_to_the_largest_size_and_to_submit_limits(
    tmp_path: Path, slurm_cluster_factory: SlurmClusterFactory
) -> None:
    slurm = slurm_cluster_factory(max_array_size=5, min_job_age=2, extra=("MaxJobCount=12",))
    farm = own_farm(tmp_path, slurm)
    jobs = [farm.job(f"point-{index}") for index in range(20)]

    async def scenario(cluster: SlurmCluster) -> list[SlurmOutcome]:
        outcomes = await asyncio.gather(*(cluster.run(job) for job in jobs))
        assert cluster.statistics.sbatch >= 4
        return list(outcomes)

    outcomes = farm.together(scenario)
    assert {outcome.status for outcome in outcomes} == {"succeeded"}
    assert [farm.runs(job.name) for job in jobs] == [1] * 20


def test_what_nobody_knows_is_neither_success_nor_failure(
    tmp_path: Path, slurm_cluster_factory: SlurmClusterFactory
) -> None:
    slurm = slurm_cluster_factory(min_job_age=2)
    farm = own_farm(tmp_path, slurm)
    job = farm.job(script=farm.wait_at_gate)

    async def scenario(cluster: SlurmCluster) -> None:
        task = asyncio.create_task(cluster.run(job, witness := Witness()))
        await witness.until("running on")
        record = farm.paths().attempt
        record.mkdir()
        (record / "in the way").touch()
        farm.gate.touch()
        # The runner cannot write its record now, and the controller forgets the job soon.
        with pytest.raises(SlurmUnknownStateError, match="neither as done nor as failed"):
            await task

    farm.together(scenario, marker_grace=15.0)
    assert not farm.paths().success.exists()


@pytest.mark.parametrize("accounting", ["there", "down"])
def test_accounting(farm_with_accounting: Farm, accounting: str) -> None:
    farm = farm_with_accounting
    if accounting == "down":
        farm.slurm.kill("slurmdbd")
    try:
        good, bad = farm.run(farm.job("good-1"), farm.job("bad-1", "kill -KILL $PPID; sleep 60"))
    finally:
        if accounting == "down":
            farm.slurm.restart("slurmdbd")
    assert good.status == "succeeded"
    assert (bad.status, bad.cause) == ("failed", "signal")


def test_two_users_share_a_store(tmp_path: Path, farm: Farm) -> None:
    base = farm.settings.base_path
    base.mkdir()
    base.chmod(0o2770)
    assert farm.run_one(farm.job(), umask="0007").status == "succeeded"
    for path in [base, *base.rglob("*")]:
        mode = path.stat().st_mode
        assert mode & stat.S_IWGRP or path.suffix or path.name in {"task", "job-runner"}, path
        assert not mode & 0o007, path
        if path.is_dir():
            assert mode & stat.S_ISGID, path


def test_partitions_are_discovered(any_farm: Farm) -> None:
    async def scenario(cluster: SlurmCluster) -> None:
        found = await discover_partitions(cluster.transport)
        assert {name: partition.capacity.cpus for name, partition in found.items()} == {
            "main": 256,
            "compute": 128,
            "gpu": 128,
        }
        assert [name for name, partition in found.items() if partition.is_default] == ["main"]

    any_farm.together(scenario)


def test_the_environment_of_a_job(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    monkeypatch.setenv("SQUEUE_FORMAT", "%Z")
    job = farm.job(script='env >"$1/env"', claimant=try_of())
    assert farm.run_one(job).status == "succeeded"
    seen = dict(line.partition("=")[::2] for line in (farm.paths().out / "env").read_text().splitlines())
    assert not [name for name in seen if "AIRFLOW" in name or "SBATCH" in name]
    assert seen["PATH"]
    assert seen["SLURM_ARRAY_TASK_ID"] == "0"
    assert os.environ["SBATCH_PARTITION"] == "nowhere"
