"""Every way in which a job ends, on a real cluster."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.errors import JobInputError, SlurmSubmissionError
from tests.integration.execution.slurm.conftest import local
from tests.integration.execution.slurm.farm import Farm, Witness, key_of, try_of, when

if TYPE_CHECKING:
    from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmOutcome
    from tests.support.cluster import SlurmClusterFactory

pytestmark = [pytest.mark.integration, pytest.mark.slurm]


def test_jobs_succeed_and_fail_in_one_array(any_farm: Farm) -> None:
    farm = any_farm
    good = [farm.job(f"good-{number}", 'cat "$2"; echo done >"$1/data.txt"') for number in range(3)]
    bad = farm.job("bad-1", "echo no luck >&2; exit 3")
    killed = farm.job("killed-1", "kill -SEGV $$")
    outcomes = farm.run(*good, bad, killed)
    assert [outcome.status for outcome in outcomes] == ["succeeded"] * 3 + ["failed"] * 2
    assert len({outcome.slurm_id.partition("_")[0] for outcome in outcomes}) == 1
    assert [farm.runs(outcome.name) for outcome in outcomes] == [1] * 5
    assert (farm.paths("good-0").out / "data.txt").read_text() == "done\n"
    assert farm.paths("good-0").stdout.read_text() == '{"start": "x"}'
    failed, dead = outcomes[3:]
    assert (failed.cause, failed.exit_code, failed.stderr_tail) == ("exit code", 3, ("no luck",))
    assert (dead.cause, dead.signal, dead.exit_code) == ("signal", signal.SIGSEGV, 128 + signal.SIGSEGV)
    assert "SIGSEGV" in dead.describe()
    assert outcomes[0].node in {"cpu1", "cpu2", "gpu1", "gpu2"}
    assert outcomes[0].seconds is not None
    assert farm.paths("bad-1").fail.exists()
    assert farm.completions() == {f"good-{number}": True for number in range(3)} | {"bad-1": False, "killed-1": False}


def test_last_words_that_are_no_text_can_be_passed_on(farm: Farm) -> None:
    outcome = farm.run_one(farm.job(script="printf 'caf\\351 \\000\\377\\033[1mfin\\n' >&2; exit 3"))
    assert outcome.describe().encode("utf-8")
    assert "fin" in outcome.stderr_tail[0]


def test_what_is_asked_for_is_really_scheduled(any_farm: Farm) -> None:
    farm = any_farm
    job = farm.job(
        script=f"scontrol -o show job $SLURM_JOB_ID >{shlex.quote(str(farm.path / 'shown'))}",
        mem=64 * 2**30,
        cpus=8,
        partition="gpu",
        time=43200,
        sbatch_opts=("--gres=gpu:2", "-C a100", "--comment='two words'"),
    )
    outcome = farm.run_one(job)
    assert (outcome.status, outcome.node) == ("succeeded", "gpu1")
    shown = (farm.path / "shown").read_text()
    for expected in ("TimeLimit=12:00:00", "Partition=gpu", "Features=a100", "CPUs/Task=8", "mem=64G", "gres:gpu:2"):
        assert expected in shown
    assert "Comment=two words" in shown
    assert "Requeue=0" in shown


def test_reused_failed_and_reset(farm: Farm) -> None:
    job = farm.job(script="exit 4")
    assert farm.run_one(job).exit_code == 4
    again = farm.job(script="exit 0", claimant=try_of(2))
    assert (farm.run_one(again).status, farm.runs()) == ("succeeded", 2)
    other = farm.job(script="exit 0", claimant=try_of(run_id="other"))
    outcome = farm.run_one(other)
    assert (outcome.status, outcome.reused, farm.runs()) == ("succeeded", True, 2)
    assert "try 2" in (outcome.holder or "")
    forced = farm.job(script="exit 5", claimant=try_of(run_id="other"), force=True)
    assert (farm.run_one(forced).exit_code, farm.runs()) == (5, 3)
    assert not farm.paths().success.exists()
    assert farm.completions()["simulate-1.1"] is False  # type: ignore[index]


def test_time_limit(farm: Farm) -> None:
    job = farm.job(script="trap '' TERM; sleep 300", time=3600)

    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        task = asyncio.create_task(cluster.run(job, witness := Witness()))
        running = await witness.until("running on")
        farm.slurm.run("scontrol", "update", f"JobId={running.slurm_id}", "EndTime=now")
        return await task

    outcome = farm.together(scenario)
    assert (outcome.status, outcome.cause) == ("failed", "TIMEOUT")
    assert "time limit" in outcome.describe()
    assert farm.paths().fail.exists()


def test_cancelled_by_somebody_in_slurm(any_farm: Farm) -> None:
    farm = any_farm
    job = farm.job(script=farm.wait_at_gate)

    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        task = asyncio.create_task(cluster.run(job, witness := Witness()))
        running = await witness.until("running on")
        farm.slurm.run("scancel", running.slurm_id)
        return await task

    outcome = farm.together(scenario)
    assert (outcome.status, outcome.cause) == ("cancelled", "CANCELLED")
    assert not farm.paths().success.exists()


def test_exactly_one_index_is_cancelled(any_farm: Farm) -> None:
    farm = any_farm
    running = [farm.job(f"job-{number}", farm.wait_at_gate) for number in range(4)]
    held = [farm.job(f"held-{number}", sbatch_opts=("--begin=now+1hour",)) for number in range(2)]

    async def scenario(cluster: SlurmCluster) -> list[SlurmOutcome]:
        submitted = Witness()
        tasks = [asyncio.create_task(cluster.run(job)) for job in (*running, held[0])]
        tasks.append(asyncio.create_task(cluster.run(held[1], submitted)))
        await when(lambda: all(farm.runs(job.name) for job in running), "the start of all jobs")
        await submitted.until("submitted as Slurm job")
        await cluster.cancel([key_of(running[2]), key_of(held[1])])
        ended = [await tasks[2], await tasks[5]]
        assert not any(task.done() for position, task in enumerate(tasks) if position not in (2, 5))
        farm.gate.touch()
        ended += [await task for position, task in enumerate(tasks) if position in (0, 1, 3)]
        await cluster.cancel([key_of(held[0])])
        assert (await tasks[4]).status == "cancelled"
        assert cluster.statistics.scancel == 2
        return ended

    outcomes = farm.together(scenario)
    assert [outcome.status for outcome in outcomes] == ["cancelled"] * 2 + ["succeeded"] * 3
    assert farm.runs("held-1") == 0


def test_a_job_that_never_starts_is_reported_and_not_failed(farm: Farm) -> None:
    job = farm.job(partition="gpu", time=2 * 86400)

    async def scenario(cluster: SlurmCluster) -> None:
        task = asyncio.create_task(cluster.run(job, witness := Witness()))
        stuck = await witness.until("will not start")
        assert stuck.stuck
        assert not task.done()
        await cluster.cancel([key_of(job)])
        assert (await task).status == "cancelled"

    farm.together(scenario)


def test_a_dependency_that_is_never_satisfied(farm: Farm) -> None:
    failed = farm.slurm.run("sbatch", "--parsable", "--output=/dev/null", "--wrap", "exit 1").stdout.strip()
    job = farm.job(sbatch_opts=(f"--dependency=afterok:{failed}",))
    outcome = farm.run_one(job)
    assert (outcome.status, outcome.cause) == ("failed", "DependencyNeverSatisfied")
    assert farm.runs() == 0


@pytest.mark.parametrize(
    "asked",
    [{"partition": "nowhere"}, {"sbatch_opts": ("-C z900",)}, {"sbatch_opts": ("--gres=gpu:99",)}, {"mem": 2**60}],
    ids=["partition", "constraint", "gres", "memory"],
)
def test_what_sbatch_refuses(farm: Farm, asked: dict[str, object]) -> None:
    job = farm.job(**asked)
    with pytest.raises(SlurmSubmissionError, match=r"simulate-1\.1: sbatch refuses it"):
        farm.run_one(job)
    assert farm.run_one(farm.job(claimant=try_of(2))).status == "succeeded"


def test_a_need_that_is_not_done(farm: Farm) -> None:
    job = replace(farm.job(), needs=(farm.paths("prepare-1.1"),))
    with pytest.raises(JobInputError, match=r"prepare-1\.1 is not done"):
        farm.run_one(job)


def on_a_node_that_fails(farm: Farm) -> SlurmOutcome:
    """What becomes of a job whose node goes down while it runs."""
    job = farm.job(script=farm.wait_at_gate, sbatch_opts=("-w cpu2",))

    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        task = asyncio.create_task(cluster.run(job, witness := Witness()))
        await witness.until("running on cpu2")
        farm.slurm.run("scontrol", "update", "NodeName=cpu2", "State=DOWN", "Reason=test")
        return await task

    try:
        return farm.together(scenario)
    finally:
        farm.slurm.run("scontrol", "update", "NodeName=cpu2", "State=RESUME", check=False)


def test_a_node_that_fails(farm: Farm) -> None:
    outcome = on_a_node_that_fails(farm)
    assert (outcome.status, outcome.cause) == ("lost", "NODE_FAIL")
    farm.gate.touch()
    again = farm.run_one(farm.job(script=farm.wait_at_gate, claimant=try_of(2)))
    assert (again.status, again.reused) == ("succeeded", False)


@pytest.mark.full
@pytest.mark.parametrize("how", ["a node in the cloud", "a node that is booted for the job"])
def test_a_node_that_does_not_boot(tmp_path: Path, slurm_cluster_factory: SlurmClusterFactory, how: str) -> None:
    """Slurm 22.05 calls that NODE_FAIL in either case; the job has not started."""
    size = "NodeAddr=127.0.0.1 Port=1 Sockets=2 CoresPerSocket=2 RealMemory=1000"
    extra = (
        *(f"{program}Program=/bin/true" for program in ("Resume", "Suspend", "Reboot")),
        *("ResumeTimeout=4", "SuspendTimeout=2", "SuspendTime=-1", "SuspendExcNodes=cpu[1-2],gpu[1-2]"),
        f"NodeName=cloud1 NodeHostname={socket.gethostname().split('.')[0]} State=CLOUD {size}",
        "PartitionName=cloud Nodes=cloud1 SuspendTime=60",
    )
    slurm = slurm_cluster_factory(extra=extra)
    farm = Farm(tmp_path, slurm, lambda: local(slurm))
    opts = ("-p cloud",) if how == "a node in the cloud" else ("-w cpu1", "--reboot")
    outcome = farm.run_one(farm.job(sbatch_opts=opts))
    assert (outcome.status, outcome.cause, farm.runs()) == ("lost", "NODE_FAIL", 0)
    again = farm.run_one(farm.job(claimant=try_of(2)))
    assert (again.status, again.reused, farm.runs()) == ("succeeded", False, 1)


def test_a_boot_failure_is_taken_from_what_slurm_prints(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm 22.05 was never seen to end a job by BOOT_FAIL: here that word replaces the one that it says instead."""
    monkeypatch.setenv("PATH", rewriting(farm.path, "scontrol", "s/JobState=NODE_FAIL/JobState=BOOT_FAIL/"))
    outcome = on_a_node_that_fails(farm)
    assert (outcome.status, outcome.cause) == ("lost", "BOOT_FAIL")
    assert "another try may succeed" in outcome.describe()


def rewriting(folder: Path, program: str, edit: str) -> str:
    """A search path on which a program's output is edited."""
    real = shutil.which(program)
    assert real is not None
    stand_in = folder / "bin" / program
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/bash\nset -o pipefail\n{shlex.quote(real)} "$@" | sed {shlex.quote(edit)}\n')
    stand_in.chmod(0o755)
    return f"{stand_in.parent}:{os.environ['PATH']}"


def test_other_jobs_of_the_user_may_have_any_name(farm: Farm) -> None:
    for name in ("a\nb", "a|b\n1|c"):
        farm.slurm.run("sbatch", f"--job-name={name}", "--array=0-1", "--output=/dev/null", "--wrap=sleep 600")
    assert farm.run_one(farm.job(script="sleep 1")).status == "succeeded"


def test_what_sbatch_repeats_of_a_request_is_no_outage(farm: Farm) -> None:
    with pytest.raises(SlurmSubmissionError, match="invalid partition specified: munge"):
        farm.run_one(farm.job(partition="munge"))


def test_a_job_that_was_given_another_name_goes_on(farm: Farm) -> None:
    job = farm.job(script=farm.wait_at_gate)

    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        witness = Witness()
        task = asyncio.create_task(cluster.run(job, witness))
        running = await witness.until("running")
        farm.slurm.run("scontrol", "update", f"JobId={running.slurm_id}", "JobName=nice")
        done, _ = await asyncio.wait({task}, timeout=2 * farm.settings.unknown_deadline)
        assert not done
        farm.gate.touch()
        return await task

    assert farm.together(scenario).status == "succeeded"
    assert farm.runs() == 1
