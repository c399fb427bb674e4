"""Full file systems, and records that show up late."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_repx.errors import StoreFullError
from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmOutcome
from tests.integration.execution.slurm.farm import Farm, Witness, try_of, when

pytestmark = [pytest.mark.integration, pytest.mark.slurm]


@pytest.fixture
def small_disk(farm: Farm) -> Iterator[Path]:
    """A file system of one MiB as base path."""
    base = farm.settings.base_path
    base.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(base)], capture_output=True, check=False, timeout=60
    )
    if mounted.returncode:
        pytest.skip(f"needs to mount a tmpfs: {mounted.stderr.decode().strip()}")
    yield base
    farm.slurm.cancel_all()
    subprocess.run(["umount", "--lazy", str(base)], check=True, timeout=60)


def fill(folder: Path) -> Path:
    """A file that takes all the room that is left."""
    filling = folder / "filling"
    with filling.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return filling


def test_a_full_disk_is_named_and_costs_nothing(farm: Farm, small_disk: Path) -> None:
    assert farm.run_one(farm.job("first")).status == "succeeded"
    filling = fill(small_disk)
    with pytest.raises(StoreFullError, match="no space or no inodes left"):
        farm.run_one(farm.job())
    assert farm.runs() == 0
    assert not farm.arrays()
    filling.unlink()
    assert farm.run_one(farm.job(claimant=try_of(2))).status == "succeeded"


def test_a_job_that_fills_the_disk_counts_for_nothing(farm: Farm, small_disk: Path) -> None:
    filling = small_disk / "filling"
    outcome = farm.run_one(farm.job(script=f"cat /dev/zero >{shlex.quote(str(filling))}; exit 0"))
    assert (outcome.status, outcome.cause) == ("lost", "NO_RECORD")
    assert "full" in outcome.describe()
    assert not farm.paths().success.exists()
    filling.unlink()
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
