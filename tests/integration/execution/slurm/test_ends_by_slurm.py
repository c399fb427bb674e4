"""How Slurm itself ends jobs, and limits that an administrator sets, each on a cluster that does so."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from airflow_provider_repx.errors import SlurmSubmissionError
from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmOutcome
from tests.integration.execution.slurm.conftest import local
from tests.integration.execution.slurm.farm import Farm, Witness, key_of, try_of, when
from tests.support.cluster import SlurmClusterFactory
from tools.cluster import ThrowawaySlurm

pytestmark = [pytest.mark.integration, pytest.mark.slurm]

EAT = "python3 -c 'import time; kept = bytearray(200_000_000); time.sleep(300)'"


def own_farm(tmp_path: Path, slurm: ThrowawaySlurm) -> Farm:
    return Farm(tmp_path, slurm, lambda: local(slurm))


def test_out_of_memory_in_a_cgroup(tmp_path: Path, slurm_cluster_factory: SlurmClusterFactory) -> None:
    farm = own_farm(tmp_path, slurm_cluster_factory(cgroup=True))
    outcome = farm.run_one(farm.job(script=EAT, mem=50 * 2**20))
    assert (outcome.status, outcome.cause) == ("failed", "OUT_OF_MEMORY")
    assert "ask for more with mem" in outcome.describe()
    assert farm.paths().fail.exists()


@pytest.mark.full
def test_out_of_memory_by_polling(tmp_path: Path, slurm_cluster_factory: SlurmClusterFactory) -> None:
    """Without cgroups Slurm 22.05 looks now and then, and calls the end a failure by a signal."""
    farm = own_farm(tmp_path, slurm_cluster_factory(extra=("JobAcctGatherFrequency=task=1",)))
    outcome = farm.run_one(farm.job(script=EAT, mem=50 * 2**20))
    assert (outcome.status, outcome.cause, outcome.signal) == ("failed", "signal", signal.SIGKILL)
    assert not farm.paths().success.exists()


@pytest.mark.parametrize("mode", ["CANCEL", pytest.param("REQUEUE", marks=pytest.mark.full)])
def test_preempted(tmp_path: Path, slurm_cluster_factory: SlurmClusterFactory, mode: str) -> None:
    extra = (
        "PreemptType=preempt/partition_prio",
        f"PreemptMode={mode}",
        f"PartitionName=low Nodes=cpu1 PriorityTier=1 PreemptMode={mode}",
        "PartitionName=high Nodes=cpu1 PriorityTier=9 PreemptMode=OFF",
    )
    farm = own_farm(tmp_path, slurm_cluster_factory(extra=extra))
    low = farm.job("low-1", farm.wait_at_gate, partition="low", sbatch_opts=("--exclusive",))

    async def scenario(cluster: SlurmCluster) -> list[SlurmOutcome]:
        first = asyncio.create_task(cluster.run(low))
        await when(lambda: farm.runs("low-1") == 1, "the start of the job")
        high = farm.job("high-1", partition="high", sbatch_opts=("--exclusive",))
        return [await cluster.run(high), await first]

    high, ended = farm.together(scenario)
    assert high.status == "succeeded"
    assert (ended.status, ended.cause) == ("lost", "PREEMPTED")
    farm.gate.touch()
    again = farm.run_one(farm.job("low-1", farm.wait_at_gate, claimant=try_of(2), partition="low"))
    assert (again.status, again.reused, farm.runs("low-1")) == ("succeeded", False, 2)


def test_deadline(farm: Farm) -> None:
    """Of a job that could have started, had there been room for it in time."""

    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        blocking = farm.job("blocking", farm.wait_at_gate, sbatch_opts=("-w cpu1", "--exclusive"))
        first = asyncio.create_task(cluster.run(blocking))
        await when(lambda: farm.runs("blocking") == 1, "the start of the job in the way")
        late = farm.job(sbatch_opts=("-w cpu1", "--exclusive", "--deadline=now+65"), time=60)
        outcome = await cluster.run(late)
        farm.gate.touch()
        await first
        return outcome

    outcome = farm.together(scenario)
    assert (outcome.status, outcome.cause, farm.runs()) == ("failed", "DEADLINE", 0)


@pytest.mark.full
@pytest.mark.parametrize("limited", ["association", "qos"])
def test_limits_on_submitted_jobs(tmp_path: Path, slurm_cluster_factory: SlurmClusterFactory, limited: str) -> None:
    slurm = slurm_cluster_factory(accounting=True, extra=("AccountingStorageEnforce=limits,qos",))
    manage = ["sacctmgr", "-i"]
    slurm.run(*manage, "add", "account", "lab")
    slurm.run(*manage, "add", "user", "root", "account=lab", check=False)
    slurm.run(*manage, "modify", "user", "root", "set", "defaultaccount=lab")
    if limited == "association":
        slurm.run(*manage, "modify", "user", "root", "where", "account=lab", "set", "MaxSubmitJobs=4")
    else:
        slurm.run(*manage, "modify", "qos", "normal", "set", "MaxSubmitJobsPerUser=4")
    farm = own_farm(tmp_path, slurm)
    jobs = [farm.job(f"point-{number}", farm.wait_at_gate, sbatch_opts=("--account=lab",)) for number in range(10)]

    async def scenario(cluster: SlurmCluster) -> list[SlurmOutcome]:
        witness = Witness()
        tasks = [asyncio.create_task(cluster.run(job, witness)) for job in jobs]
        held = await witness.until("held back")
        assert "MaxSubmitJob" in held.text
        assert sum(farm.runs(job.name) for job in jobs) <= 4
        farm.gate.touch()
        return list(await asyncio.gather(*tasks))

    assert {outcome.status for outcome in farm.together(scenario)} == {"succeeded"}
    assert [farm.runs(job.name) for job in jobs] == [1] * 10


def test_a_limit_on_each_job_is_a_refusal(tmp_path: Path, slurm_cluster_factory: SlurmClusterFactory) -> None:
    """Where a QOS denies at once, waiting changes nothing."""
    slurm = slurm_cluster_factory(accounting=True, extra=("AccountingStorageEnforce=limits,qos",))
    manage = ["sacctmgr", "-i"]
    slurm.run(*manage, "add", "account", "lab")
    slurm.run(*manage, "add", "user", "root", "account=lab", check=False)
    slurm.run(*manage, "modify", "user", "root", "set", "defaultaccount=lab")
    slurm.run(*manage, "modify", "qos", "normal", "set", "flags=DenyOnLimit", "MaxTRESPerJob=cpu=1")
    farm = own_farm(tmp_path, slurm)
    with pytest.raises(SlurmSubmissionError, match="QOSMaxCpuPerJobLimit"):
        farm.run_one(farm.job(cpus=8, sbatch_opts=("--account=lab",)))


def test_numbers_that_come_again_after_a_lost_state(tmp_path: Path, slurm_cluster_factory: SlurmClusterFactory) -> None:
    slurm = slurm_cluster_factory()
    farm = own_farm(tmp_path, slurm)
    job = farm.job(sbatch_opts=("--begin=now+1hour",))

    async def scenario(cluster: SlurmCluster) -> None:
        witness = Witness()
        task = asyncio.create_task(cluster.run(job, witness))
        number = (await witness.until("pending")).slurm_id.partition("_")[0]
        slurm.kill("slurmctld")
        for file in (slurm.folder / "state").iterdir():
            if file.is_file():
                file.unlink()
        slurm.restart("slurmctld")
        innocent = ["--array=0", "--output=/dev/null", "--job-name=innocent", "--wrap=sleep 300"]
        while slurm.run("sbatch", "--parsable", *innocent).stdout.strip() != number:
            assert not task.done()
        await cluster.cancel([key_of(job)])
        living = slurm.run("squeue", "-h", "-n", "innocent", "-t", "PENDING,RUNNING", "-o", "%F").stdout.split()
        assert number in living
        task.cancel()

    farm.together(scenario, first_poll=20.0, last_poll=20.0)
    slurm.cancel_all()
