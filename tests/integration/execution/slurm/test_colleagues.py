"""Two users of one cluster and one store: what is shared, what is refused, and what Slurm hides from them."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.slurm import SlurmCluster, SlurmOutcome, discover_partitions
from airflow_provider_repx.execution.transport import Completed, LocalTransport
from tests.integration.execution.slurm.farm import PATIENCE, Farm, Witness, key_of, try_of, when
from tests.support.cluster import SlurmClusterFactory, UserFactory
from tools.cluster import ThrowawaySlurm, ThrowawayUser

pytestmark = [pytest.mark.integration, pytest.mark.slurm]


class AsUser:
    """Runs every command as another user of this machine."""

    def __init__(self, user: ThrowawayUser, slurm: ThrowawaySlurm) -> None:
        self._inner = LocalTransport(environment=slurm.env)
        self._prefix = ["setpriv", "--reuid", user.name, "--regid", user.name, "--init-groups", "--"]
        self.description = f"this machine, as {user.name}"
        self.is_local = True

    async def run(
        self, command: Sequence[str], *, stdin: bytes | AsyncIterable[bytes] = b"", timeout: float
    ) -> Completed:
        return await self._inner.run([*self._prefix, *command], stdin=stdin, timeout=timeout)

    async def close(self) -> None:
        await self._inner.close()


class Shared:
    """A store that belongs to the group of one of two users, whom the other one has joined."""

    def __init__(self, slurm: ThrowawaySlurm, make_user: UserFactory) -> None:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv (Debian: apt-get install util-linux)")
        self.alice = make_user()
        self.bob = make_user(groups=(self.alice.name,))
        path = self.alice.home / "shared"
        path.mkdir()
        self.farm = Farm(path, slurm, lambda: LocalTransport(environment=slurm.env))
        self._give(path)
        self.farm.settings.base_path.mkdir()
        self._give(self.farm.settings.base_path)

    def _give(self, folder: Path) -> None:
        shutil.chown(folder, self.alice.name, self.alice.name)
        folder.chmod(0o2770)

    def cluster(self, user: ThrowawayUser, **changes: Any) -> SlurmCluster:
        settings = replace(self.farm.settings, **{"umask": "0007", **changes})
        return SlurmCluster(settings, AsUser(user, self.farm.slurm))

    def run_as(self, user: ThrowawayUser, number: int = 1, script: str = "", **changes: Any) -> SlurmOutcome:
        """One job, by a cluster object of a user's own."""
        force = changes.pop("force", False)

        async def run() -> SlurmOutcome:
            cluster = self.cluster(user, **changes)
            try:
                job = self.farm.job(script=script, claimant=try_of(run_id=f"run-{number}"), force=force)
                return await asyncio.wait_for(cluster.run(job), PATIENCE)
            finally:
                await cluster.close()

        return asyncio.run(run())


@pytest.fixture
def shared(slurm_cluster: ThrowawaySlurm, user_factory: UserFactory) -> Iterator[Shared]:
    yield Shared(slurm_cluster, user_factory)
    slurm_cluster.cancel_all()


@pytest.fixture
def private(slurm_cluster_factory: SlurmClusterFactory, user_factory: UserFactory) -> Iterator[Shared]:
    """Where Slurm shows nobody the jobs of others."""
    slurm = slurm_cluster_factory(extra=("PrivateData=jobs",))
    yield Shared(slurm, user_factory)
    slurm.cancel_all()


def test_colleagues_take_turns(shared: Shared) -> None:
    assert shared.run_as(shared.alice, 1, "exit 3").exit_code == 3
    done = shared.run_as(shared.bob, 2, 'id -un >"$1/who"')
    assert (done.status, done.reused) == ("succeeded", False)
    assert (shared.farm.paths().out / "who").read_text().strip() == shared.bob.name
    reused = shared.run_as(shared.alice, 3)
    assert (reused.status, reused.reused) == ("succeeded", True)
    forced = shared.run_as(shared.alice, 4, 'echo again >"$1/who"', force=True)
    assert (forced.status, forced.reused, shared.farm.runs()) == ("succeeded", False, 3)
    base = shared.farm.settings.base_path
    for folder in [base, *(path for path in base.rglob("*") if path.is_dir())]:
        assert folder.stat().st_gid == shared.alice.gid, folder
        assert folder.stat().st_mode & 0o7777 == 0o2770, folder


@pytest.mark.parametrize("whose", ["the whole store", "the job"])
def test_a_folder_of_somebody_else_is_named(shared: Shared, whose: str) -> None:
    assert shared.run_as(shared.alice, 1, "exit 3", umask="0022").exit_code == 3
    base = shared.farm.settings.base_path
    if whose == "the job":
        for folder in (base / "outputs", *(path for path in (base / "repx").rglob("*") if path.is_dir())):
            folder.chmod(0o2770)
        (base / "repx").chmod(0o2770)
    with pytest.raises(StoreError, match="this user may not write there") as caught:
        shared.run_as(shared.bob, 2)
    assert f"belongs to {shared.alice.name}:{shared.alice.name} (mode 2755)" in str(caught.value)
    assert ("simulate-1.1" in str(caught.value)) == (whose == "the job")
    assert "setgid" in str(caught.value)
    assert shared.farm.runs() == 1


def both(shared: Shared, scenario: Any) -> Any:
    """Run a scenario with a cluster object of each user, which know nothing of each other."""

    async def run() -> Any:
        clusters = shared.cluster(shared.alice), shared.cluster(shared.bob, unknown_deadline=1.0)
        try:
            return await asyncio.wait_for(scenario(*clusters), 2 * PATIENCE)
        finally:
            for cluster in clusters:
                await cluster.close()

    return asyncio.run(run())


def test_a_hidden_job_that_runs_is_waited_for(private: Shared) -> None:
    farm = private.farm

    async def scenario(of_alice: SlurmCluster, of_bob: SlurmCluster) -> list[SlurmOutcome]:
        script = farm.wait_at_gate
        first = asyncio.create_task(of_alice.run(farm.job(script=script, claimant=try_of(run_id="alice"))))
        await when(lambda: farm.runs() == 1, "the start of the job")
        job = farm.job(script=script, claimant=try_of(run_id="bob"))
        second = asyncio.create_task(of_bob.run(job, witness := Witness()))
        told = await witness.until("does not show")
        assert private.alice.name in told.text
        asked = of_bob.statistics.squeue
        await when(lambda: of_bob.statistics.squeue >= asked + 3, "three more questions to the queue")
        assert not second.done()
        farm.gate.touch()
        return [await first, await second]

    first, second = both(private, scenario)
    assert (first.status, first.reused) == ("succeeded", False)
    assert (second.status, second.reused, farm.runs()) == ("succeeded", True, 1)


def test_a_hidden_job_that_ended_without_a_word_is_run_anew_when_its_mark_is_removed(private: Shared) -> None:
    """The way out that the message tells: its runner was killed, and nobody of its owner's is there to notice."""
    farm = private.farm

    async def scenario(of_alice: SlurmCluster, of_bob: SlurmCluster) -> SlurmOutcome:
        script = f"{farm.wait_at_gate}; [[ -e '{farm.path}/survives' ]] || kill -KILL $PPID"
        first = asyncio.create_task(of_alice.run(farm.job(script=script, claimant=try_of(run_id="alice"))))
        await when(lambda: farm.runs() == 1, "the start of the job")
        await of_alice.close()
        farm.gate.touch()
        await when(lambda: not farm.arrays(), "the end of the job")
        second = asyncio.create_task(
            of_bob.run(farm.job(script=script, claimant=try_of(run_id="bob")), witness := Witness())
        )
        told = (await witness.until("does not show")).text
        [name] = re.findall(r"array (\S+) does not run any more, remove (.+)$", told)
        mark = Path(name[1])
        assert mark.parent.parent.name == name[0]
        assert not second.done()
        (farm.path / "survives").touch()
        # A colleague may do that: the folder belongs to their group.
        await AsUser(private.bob, farm.slurm).run(["rm", "--", str(mark)], timeout=PATIENCE)
        await asyncio.gather(first, return_exceptions=True)
        return await second

    outcome = both(private, scenario)
    assert (outcome.status, outcome.reused, private.farm.runs()) == ("succeeded", False, 2)


def test_a_hidden_job_that_has_not_started_is_run_in_its_place(private: Shared) -> None:
    farm = private.farm

    async def scenario(of_alice: SlurmCluster, of_bob: SlurmCluster) -> list[SlurmOutcome]:
        held = farm.job(claimant=try_of(run_id="alice"), sbatch_opts=("--begin=now+1hour",))
        first = asyncio.create_task(of_alice.run(held, witness := Witness()))
        pending = await witness.until("pending")
        second = await of_bob.run(farm.job(claimant=try_of(run_id="bob")))
        farm.slurm.run("scontrol", "update", f"JobId={pending.slurm_id.partition('_')[0]}", "StartTime=now")
        return [await first, second]

    first, second = both(private, scenario)
    assert (second.status, second.reused) == ("succeeded", False)
    assert (first.status, first.reused, farm.runs()) == ("succeeded", True, 1)


def test_jobs_in_a_hidden_partition_are_seen(
    slurm_cluster_factory: SlurmClusterFactory, user_factory: UserFactory
) -> None:
    slurm = slurm_cluster_factory(extra=("PartitionName=secret Nodes=cpu1 Hidden=YES",))
    shared = Shared(slurm, user_factory)
    farm = shared.farm
    job = farm.job(script=farm.wait_at_gate, partition="secret")

    async def scenario() -> SlurmOutcome:
        assert "secret" in await discover_partitions(AsUser(shared.alice, slurm))
        one, two = shared.cluster(shared.alice), shared.cluster(shared.alice)
        try:
            witness = Witness()
            task = asyncio.create_task(one.run(job, witness))
            await witness.until("running on cpu1")
            await two.cancel([key_of(job)])
            return await asyncio.wait_for(task, PATIENCE)
        finally:
            await one.close()
            await two.close()

    assert asyncio.run(scenario()).status == "cancelled"
    assert farm.runs() == 1
    slurm.cancel_all()
