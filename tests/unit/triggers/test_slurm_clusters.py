"""Which triggers share a cluster object, a connection, and a watch for jobs that nobody wants any more."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.execution.slurm import SlurmCluster
from airflow_provider_repx.targets import SlurmDefaults, Target
from airflow_provider_repx.triggers.slurm import clusters

pytestmark = pytest.mark.unit


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[SlurmCluster]:
    """The clusters that are watched now."""
    found: list[SlurmCluster] = []

    async def watch(cluster: SlurmCluster, *_: Any) -> None:
        found.append(cluster)
        try:
            await asyncio.Event().wait()
        finally:
            found.remove(cluster)

    monkeypatch.setattr(clusters, "watch_for_orphans", watch)
    return found


def target(**fields: Any) -> Target:
    return Target(name="cluster", base_path=Path("/scratch"), scheduler="slurm", **fields)


def login(monkeypatch: pytest.MonkeyPatch, **fields: str) -> None:
    content = {"conn_type": "ssh", "host": "login.example.org", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_LOGIN", json.dumps(content))


def test_all_triggers_of_a_cluster_share_it(watched: list[SlurmCluster]) -> None:
    async def scenario() -> None:
        first = await clusters.cluster_of(target())
        again = await clusters.cluster_of(target(slurm=SlurmDefaults(partition="gpu")))
        assert again is first
        elsewhere = await clusters.cluster_of(target(slurm=SlurmDefaults(poll_interval=3.0)))
        assert elsewhere.transport is first.transport
        await asyncio.sleep(0)
        assert watched == [first, elsewhere]

    asyncio.run(scenario())
    assert not watched


def test_a_changed_connection_is_used_from_then_on(
    watched: list[SlurmCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        login(monkeypatch)
        before = await clusters.cluster_of(target(ssh_connection="login"))
        assert await clusters.cluster_of(target(ssh_connection="login")) is before
        login(monkeypatch, login="somebody")
        after = await clusters.cluster_of(target(ssh_connection="login"))
        assert (before.transport.description, after.transport.description) == (
            "login.example.org",
            "somebody@login.example.org",
        )
        await asyncio.sleep(0)
        assert watched == [after]

    asyncio.run(scenario())
