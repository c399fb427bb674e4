"""Folders of arrays are removed when nobody can need them any more, and never before."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmOutcome
from airflow_provider_repx.execution.slurm.target import KEPT_DAYS, TargetFiles
from airflow_provider_repx.execution.transport import LocalTransport
from tests.integration.execution.slurm.farm import Farm, eventually, try_of, when

pytestmark = [pytest.mark.integration, pytest.mark.slurm]


def folders(farm: Farm) -> set[Path]:
    return set(farm.settings.base_path.glob("repx/slurm/repx-*"))


def make_old(folder: Path, days: float = KEPT_DAYS + 1) -> None:
    moment = time.time() - days * 86400
    for path in (folder, *folder.iterdir()):
        os.utime(path, (moment, moment))


def folder_of(farm: Farm, name: str, script: str = "") -> Path:
    """The folder of an array that has run one job."""
    before = folders(farm)
    assert farm.run_one(farm.job(name, script)).status in ("succeeded", "failed")
    [made] = folders(farm) - before
    return made


def tidy(farm: Farm, environment: dict[str, str] | None = None) -> int:
    transport = LocalTransport(environment=environment or farm.slurm.env)
    return asyncio.run(TargetFiles(farm.settings, transport, lambda _: None).tidy())


def test_only_what_nobody_can_need_is_removed(farm: Farm) -> None:
    done, failed, recent, _, foreign = (
        folder_of(farm, name, "exit 1" if name == "failed" else "")
        for name in ("done", "failed", "recent", "resting", "foreign")
    )
    worker = farm.worker()
    worker.order(farm.job("running", farm.wait_at_gate), farm.job("held", sbatch_opts=("--begin=now+1hour",)))
    eventually(lambda: farm.runs("running") == 1 and len(farm.arrays()) == 2, "a running and a pending array")
    # An array that was claimed, and whose process was killed before it was submitted: nothing of it can start.
    unborn = done.with_name(f"repx-00000000-0-{'0' * 16}")
    unborn.mkdir()
    # A claim without an end: whoever takes it over looks for the mark of its start.
    farm.paths("resting").attempt.unlink()
    for over in farm.paths("resting").repx.glob("claim.over-*"):
        over.unlink()
    os.chown(foreign, 12345, -1)
    for folder in folders(farm) - {recent}:
        make_old(folder)
    make_old(recent, KEPT_DAYS - 1)
    before = folders(farm)
    useless = farm.path / "slurm.conf"
    useless.touch()
    with pytest.raises(StoreError, match="remove folders of arrays"):
        tidy(farm, {"SLURM_CONF": str(useless)})
    assert folders(farm) == before
    assert tidy(farm) == 3
    assert before - folders(farm) == {done, failed, unborn}
    assert not list((farm.settings.base_path / "repx/temp").glob(".tidy-*"))
    farm.gate.touch()
    assert worker.answer()["status"] == "succeeded"
    # What is gone is not missed.
    assert farm.run_one(farm.job("done", claimant=try_of(run_id="later"))).reused
    again = farm.run_one(farm.job("failed", claimant=try_of(2)))
    assert (again.status, farm.runs("failed")) == ("succeeded", 2)


def test_a_new_cluster_object_tidies_once_a_day(farm: Farm) -> None:
    first = folder_of(farm, "first")
    make_old(first)

    async def scenario(cluster: SlurmCluster) -> None:
        await cluster.run(farm.job("second"))
        await when(lambda: not first.exists(), "the end of the old folder")

    farm.together(scenario)
    [second] = folders(farm)
    make_old(second)
    folder_of(farm, "third")
    assert second.exists()


def test_jobs_run_once_while_folders_are_removed(farm: Farm) -> None:
    names = [f"point-{number}" for number in range(12)]

    async def scenario(cluster: SlurmCluster) -> list[SlurmOutcome]:
        target = TargetFiles(farm.settings, LocalTransport(environment=farm.slurm.env), lambda _: None)
        removed, stop = 0, asyncio.Event()

        async def remove() -> None:
            nonlocal removed
            while not stop.is_set():
                for folder in folders(farm):
                    if (folder / "index").exists():
                        make_old(folder)
                removed += sum(await asyncio.gather(target.tidy(), target.tidy()))

        removing = asyncio.create_task(remove())
        outcomes = []
        for start in range(0, len(names), 6):
            part = names[start : start + 6]
            tries = [cluster.run(farm.job(n, "exit 1", claimant=try_of())) for n in part[:2]]
            tries += [cluster.run(farm.job(n, "sleep 0.3", claimant=try_of())) for n in part[2:]]
            outcomes += await asyncio.gather(*tries)
            again = [cluster.run(farm.job(n, claimant=try_of(2))) for n in part]
            assert {outcome.status for outcome in await asyncio.gather(*again)} == {"succeeded"}
        await when(lambda: not folders(farm), "the end of all folders")
        stop.set()
        await removing
        assert removed >= 3
        return outcomes

    outcomes = farm.together(scenario)
    assert {outcome.status for outcome in outcomes} == {"succeeded", "failed"}
    assert [farm.runs(name) for name in names] == [2, 2, 1, 1, 1, 1] * 2
