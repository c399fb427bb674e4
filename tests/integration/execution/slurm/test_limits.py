"""Limits of clusters and pools, numbers of processes, short memories, accounting, shared stores."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.errors import SlurmUnknownStateError
from airflow_provider_repx.execution.slurm import PoolShare, discover_partitions
from airflow_provider_repx.execution.transport import LocalTransport
from tests.integration.execution.slurm.conftest import local, over_ssh
from tests.integration.execution.slurm.farm import Farm, Witness, try_of, when
from tools.cluster import SshdOptions

if TYPE_CHECKING:
    from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmOutcome
    from tests.support.cluster import SlurmClusterFactory, SshServerFactory
    from tools.cluster import ThrowawaySlurm

pytestmark = [pytest.mark.integration, pytest.mark.slurm]


def own_farm(tmp_path: Path, slurm: ThrowawaySlurm) -> Farm:
    return Farm(tmp_path, slurm, lambda: local(slurm))


@dataclass(frozen=True)
class Counted:
    """A farm on a cluster whose commands leave a line in a file each time that they are started, by whomever."""

    farm: Farm
    log: Path
    connections: Callable[[], int]
    """How many SSH connections have been made so far."""

    def started(self) -> Counter[str]:
        return Counter(self.log.read_text().split())


def counting_programs(folder: Path, log: Path) -> str:
    """A search path on which Slurm's commands are counted before they do their work."""
    log.touch()
    folder.mkdir()
    for name in ("sbatch", "squeue", "sacct", "scontrol", "scancel", "sinfo"):
        real = shutil.which(name)
        assert real is not None
        program = folder / name
        program.write_text(f'#!/bin/sh\necho {name} >>{shlex.quote(str(log))}\nexec {shlex.quote(real)} "$@"\n')
        program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.ssh)])
def counted(request: pytest.FixtureRequest, tmp_path: Path, slurm_cluster: ThrowawaySlurm) -> Iterator[Counted]:
    log = tmp_path / "started"
    environment = {**slurm_cluster.env, "PATH": counting_programs(tmp_path / "bin", log)}
    connect, connections = lambda: LocalTransport(environment=environment), lambda: 0
    if request.param == "ssh":
        make: SshServerFactory = request.getfixturevalue("sshd_factory")
        server = make(SshdOptions(environment=environment))
        connect, connections = lambda: over_ssh(server), server.connections_made
    farm = Farm(tmp_path, slurm_cluster, connect, is_local=request.param == "local")
    yield Counted(farm, log, connections)
    farm.close()
    slurm_cluster.cancel_all()


@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.full)])
def test_processes_do_not_grow_with_the_jobs(counted: Counted, number: int) -> None:
    """Counted by the commands themselves and by the SSH server, not by who starts them."""
    farm = counted.farm
    jobs = [farm.job(f"point-{index}", mem=2**20) for index in range(number)]
    before = counted.connections()
    main = ("scontrol", "update", "PartitionName=main")

    async def scenario(cluster: SlurmCluster) -> list[SlurmOutcome]:
        tasks = [asyncio.create_task(cluster.run(job)) for job in jobs]
        await when(lambda: counted.started()["squeue"] >= 3, "three questions to the queue")
        waiting, said = counted.started(), cluster.statistics
        assert (waiting["sbatch"], waiting["sacct"], waiting["scancel"], waiting["sinfo"]) == (1, 0, 0, 0)
        assert waiting["scontrol"] <= 2
        # Ship, look, claim, submit, and at most one look per question to the queue.
        assert said.script <= 4 + said.squeue
        begin, asked = time.monotonic(), waiting["squeue"]
        await when(lambda: counted.started()["squeue"] >= asked + 3, "three more questions to the queue")
        # Where nothing changes, nothing but the queue is asked; and not more often than the settings say.
        more = counted.started() - waiting
        assert set(more) == {"squeue"}
        assert more["squeue"] <= 1 + (time.monotonic() - begin) / farm.settings.first_poll
        farm.slurm.run(*main, "State=UP")
        outcomes = list(await asyncio.gather(*tasks))
        done, said = counted.started(), cluster.statistics
        assert (done["sbatch"], done["squeue"]) == (1, said.squeue)
        assert done["sacct"] == done["scancel"] == 0
        assert done["scontrol"] <= 2 + said.squeue
        assert said.script <= 2 * (4 + said.squeue)
        return outcomes

    farm.slurm.run(*main, "State=DOWN")
    try:
        outcomes = farm.together(scenario)
    finally:
        farm.slurm.run(*main, "State=UP")
    assert {outcome.status for outcome in outcomes} == {"succeeded"}
    assert all(farm.runs(job.name) == 1 for job in jobs)
    assert counted.connections() - before == (0 if farm.is_local else 1)


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


def test_processes_that_fill_a_pool_at_the_same_moment_give_way_to_each_other(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each `sbatch` waits for the other one, so neither process can see what the other one has submitted.
    meeting = shlex.quote(str(farm.path / "meeting"))
    real = shutil.which("sbatch")
    program = farm.path / "bin/sbatch"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/bash\nmkdir -p {meeting} && touch {meeting}/$$\n"
        f'while (( $(ls {meeting} | wc -l) < 2 )); do sleep 0.05; done\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    share = PoolShare("repx_main", 4)
    both = [[farm.job(f"{name}-{index}", farm.wait_at_gate, share=share) for index in range(8)] for name in "ab"]

    def throttles() -> list[int]:
        shown = farm.slurm.run("scontrol", "-o", "show", "job").stdout
        found = dict(re.findall(r"ArrayJobId=(\d+).*ArrayTaskThrottle=(\d+)", shown))
        # The controller remembers arrays of other tests, too.
        return sorted(int(throttle) for array, throttle in found.items() if array in farm.arrays())

    async def scenario(first: SlurmCluster) -> list[SlurmOutcome]:
        second = farm.cluster()
        try:
            tasks = [
                asyncio.create_task(cluster.run(job))
                for cluster, jobs in zip((first, second), both, strict=True)
                for job in jobs
            ]
            await when(lambda: len(farm.arrays()) == 2, "two arrays")
            await when(lambda: sum(throttles()) <= share.size, "throttles that keep to the pool together")
            assert throttles() == [1, 3]
            farm.gate.touch()
            return list(await asyncio.gather(*tasks))
        finally:
            await second.close()

    outcomes = farm.together(scenario)
    assert {outcome.status for outcome in outcomes} == {"succeeded"}
    assert [farm.runs(job.name) for jobs in both for job in jobs] == [1] * 16


def test_who_comes_later_sees_what_others_have_taken_of_a_pool(farm: Farm) -> None:
    share = PoolShare("repx_main", 2)
    taking = [farm.job(f"a-{index}", farm.wait_at_gate, share=share) for index in range(2)]

    async def scenario(first: SlurmCluster) -> list[SlurmOutcome]:
        second = farm.cluster()
        try:
            tasks = [asyncio.create_task(first.run(job)) for job in taking]
            await when(lambda: all(farm.runs(job.name) for job in taking), "two jobs that run")
            tasks.append(asyncio.create_task(second.run(farm.job("b", share=share), witness := Witness())))
            await witness.until("all its 2 slots are taken")
            assert second.statistics.sbatch == 0
            farm.gate.touch()
            return list(await asyncio.gather(*tasks))
        finally:
            await second.close()

    assert {outcome.status for outcome in farm.together(scenario)} == {"succeeded"}


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
