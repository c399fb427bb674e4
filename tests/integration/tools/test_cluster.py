"""The throwaway cluster, server and users that other tests rely on."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.airflow_local import wait_until
from tools.airflow_local.processes import identify
from tools.cluster import SlurmOptions, ThrowawaySlurm, remove_leftovers, why_no_slurm, why_no_sshd, why_no_users

if TYPE_CHECKING:
    from tests.support.cluster import SlurmClusterFactory, SlurmTestCluster

pytestmark = pytest.mark.integration

CHECKOUT = Path(__file__).parents[3]
SLEEP = "#!/bin/bash\nsleep 600\n"


@pytest.mark.slurm
def test_resources_are_really_scheduled(slurm_cluster: SlurmTestCluster) -> None:
    asked = ["--mem=64G", "--cpus-per-task=8", "--partition=gpu", "--gres=gpu:2", "--constraint=a100"]
    done = slurm_cluster.run(
        "sbatch", "--wait", "-o", "/dev/null", *asked, stdin="#!/bin/bash\n[[ $SLURMD_NODENAME == gpu1 ]]\n"
    )
    assert done.returncode == 0


@pytest.mark.slurm
def test_every_daemon_can_be_killed_and_started_again(slurm_cluster: SlurmTestCluster) -> None:
    slurm_cluster.run("sbatch", "-w", "cpu1", "-o", "/dev/null", stdin=SLEEP)
    for daemon in ("slurmctld", "munged", "slurmd-cpu1"):
        slurm_cluster.kill(daemon)
        assert not slurm_cluster.is_alive(daemon)
        slurm_cluster.restart(daemon)
        assert slurm_cluster.is_alive(daemon)
    assert slurm_cluster.controller_is_up()
    assert len(slurm_cluster.run("squeue", "-h").stdout.splitlines()) == 1
    slurm_cluster.cancel_all()
    assert slurm_cluster.run("squeue", "-h").stdout == ""


@pytest.mark.slurm
def test_accounting_short_memory_and_small_arrays(slurm_cluster_factory: SlurmClusterFactory) -> None:
    cluster = slurm_cluster_factory(accounting=True, min_job_age=2, max_array_size=5)
    job = cluster.run("sbatch", "--parsable", "--wait", "-o", "/dev/null", "--wrap", "true").stdout.strip()
    wait_until(
        lambda: cluster.run("sacct", "-n", "-X", "-P", "-j", job, "-o", "State").stdout.strip() == "COMPLETED",
        timeout=60,
        what="accounting knows the job",
    )
    assert "Invalid job array" in cluster.run("sbatch", "--array=5", "--wrap", "true", check=False).stderr
    wait_until(lambda: not cluster.answers("squeue", "-j", job), timeout=90, what="the job is forgotten")


@pytest.mark.slurm
@pytest.mark.ssh
def test_what_a_killed_session_left_is_ended_and_nothing_else(slurm_cluster: SlurmTestCluster) -> None:
    for reason in (why_no_slurm(), why_no_sshd(), why_no_users()):
        if reason:
            pytest.skip(reason)
    program = (
        "import os, signal; from tools.cluster import *\n"
        "slurm, user = ThrowawaySlurm().start(), ThrowawayUser(); server = ThrowawaySshd().start()\n"
        f"slurm.run('sbatch', '-o', '/dev/null', stdin={SLEEP!r})\n"
        "print(slurm.folder, server.folder, user.name, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120
    )
    assert killed.returncode == -9, killed.stderr
    slurm, server, user = killed.stdout.split()
    assert [folder for folder in (slurm, server) if mentioned(folder)] == [slurm, server]
    remove_leftovers()
    assert [folder for folder in (slurm, server) if mentioned(folder) or Path(folder).exists()] == []
    with pytest.raises(KeyError):
        pwd.getpwnam(user)
    assert slurm_cluster.controller_is_up()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.cluster.daemons.DAEMON_PATH", "/nowhere")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "apt-get install slurm-wlm munge" in (why_no_slurm() or "")
    assert "apt-get install openssh-server" in (why_no_sshd() or "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in (why_no_slurm(SlurmOptions(accounting=True)) or "")
    assert "needs root" in (why_no_users() or "")


@pytest.mark.slurm
def test_a_job_that_left_its_session_ends_with_the_cluster(tmp_path: Path) -> None:
    if reason := why_no_slurm():
        pytest.skip(reason)
    pid_file = tmp_path / "pid"
    with ThrowawaySlurm() as cluster:
        script = f"#!/bin/bash\nsetsid bash -c 'echo $$ >{pid_file}; exec sleep 600' &\nwait\n"
        cluster.run("sbatch", "-o", "/dev/null", stdin=script)
        wait_until(lambda: pid_file.exists() and pid_file.read_text(), timeout=60, what="the job runs")
    assert identify(int(pid_file.read_text())) is None


def mentioned(folder: str) -> bool:
    """Whether a process has the folder in its command line."""
    listed = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True)
    return folder in listed.stdout
