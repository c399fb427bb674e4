"""Full file systems, and records that show up late."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_repx.errors import StoreFullError
from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmOutcome
from tests.integration.execution.slurm.farm import Farm, Witness, try_of, when

pytestmark = [pytest.mark.integration, pytest.mark.slurm]


@pytest.fixture(params=["full", "over quota"])
def small_disk(request: pytest.FixtureRequest, farm: Farm) -> Iterator[SmallDisk]:
    """A file system as base path that is soon full, or a large one of which little may be used."""
    base = farm.settings.base_path
    base.mkdir()
    if request.param == "full":
        mount("-t", "tmpfs", "-o", "size=1m", "none", str(base))
    else:
        if shutil.which("mkfs.btrfs") is None:
            pytest.skip("needs mkfs.btrfs, whose quotas bind root too (Debian: apt-get install btrfs-progs)")
        image = farm.path / "image"
        with image.open("wb") as file:
            file.truncate(128 * 2**20)
        run("mkfs.btrfs", "-q", str(image))
        mount("-t", "btrfs", "-o", "loop", str(image), str(base))
        run("btrfs", "quota", "enable", str(base))
        run("btrfs", "qgroup", "limit", "2M", str(base))
    yield SmallDisk(base, "no space or no inodes left" if request.param == "full" else "quota is exceeded")
    farm.slurm.cancel_all()
    run("umount", "--lazy", str(base))


@dataclass(frozen=True)
class SmallDisk:
    """Where it is, and what is said when no more fits onto it."""

    path: Path
    said: str

    @property
    def filling(self) -> Path:
        """A file for what is in the way."""
        return self.path / "filling"

    def fill(self) -> None:
        """Take all the room that is left."""
        with self.filling.open("wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                with suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass
            with suppress(OSError):
                os.fsync(file.fileno())

    def empty(self) -> None:
        """Make room again."""
        self.filling.unlink()
        # Only what was written down counts for a quota.
        run("sync", "--file-system", str(self.path))


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def mount(*arguments: str) -> None:
    mounted = subprocess.run(["mount", *arguments], capture_output=True, check=False, timeout=60)
    if mounted.returncode:
        pytest.skip(f"needs to mount a file system: {mounted.stderr.decode().strip()}")


def test_a_full_disk_is_named_and_costs_nothing(farm: Farm, small_disk: SmallDisk) -> None:
    assert farm.run_one(farm.job("first")).status == "succeeded"
    small_disk.fill()
    with pytest.raises(StoreFullError, match=small_disk.said):
        farm.run_one(farm.job())
    assert farm.runs() == 0
    assert not farm.arrays()
    small_disk.empty()
    assert farm.run_one(farm.job(claimant=try_of(2))).status == "succeeded"


def test_a_job_that_fills_the_disk_counts_for_nothing(farm: Farm, small_disk: SmallDisk) -> None:
    filling = shlex.quote(str(small_disk.filling))
    outcome = farm.run_one(farm.job(script=f"cat /dev/zero >{filling}; sync {filling}; exit 0"))
    assert (outcome.status, outcome.cause) == ("lost", "NO_RECORD")
    assert "full" in outcome.describe()
    assert not farm.paths().success.exists()
    small_disk.empty()
    again = farm.run_one(farm.job(script="exit 0", claimant=try_of(2)))
    assert (again.status, again.reused, farm.runs()) == ("succeeded", False, 2)


def test_a_record_that_shows_up_late_is_waited_for(farm: Farm) -> None:
    """As on a file system whose nodes see each other's files after a while."""
    repx = farm.paths().repx
    hidden = repx.with_name("not shown yet")

    async def scenario(cluster: SlurmCluster) -> SlurmOutcome:
        task = asyncio.create_task(cluster.run(farm.job(script=farm.wait_at_gate), witness := Witness()))
        await witness.until("running on")
        repx.rename(hidden)
        # The runner's own files stay where it has opened or will create them.
        repx.mkdir()
        farm.gate.touch()
        await when((repx / "SUCCESS").exists, "the end of the job")
        late = repx.with_name("late")
        repx.rename(late)
        hidden.rename(repx)
        asked = cluster.statistics.squeue
        await when(lambda: cluster.statistics.squeue >= asked + 3, "three more questions to the queue")
        assert not task.done()
        for name in ("attempt.json", "SUCCESS"):
            (late / name).rename(repx / name)
        return await task

    outcome = farm.together(scenario, marker_grace=60.0)
    assert (outcome.status, farm.runs()) == ("succeeded", 1)
