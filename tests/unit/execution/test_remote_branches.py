"""How a scatter-gather job's folder is looked at through a transport."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from airflow_provider_repx.errors import WorkItemsError
from airflow_provider_repx.execution.store import Claimant, ClaimRecord, OutputStore
from airflow_provider_repx.execution.store.attempt import Attempt, write_attempt
from airflow_provider_repx.execution.transport import LocalTransport
from airflow_provider_repx.execution.units import Unit
from airflow_provider_repx.execution.units.remote_branches import Scattered, look_at_scattered
from airflow_provider_repx.lab import JobId
from tests.support.labs import job_id

pytestmark = pytest.mark.unit

JOB = JobId(job_id("split-1.1"))
MINE = Claimant("repx_simulation", "manual__2", "split.branches")


@pytest.fixture
def store(tmp_path: Path) -> OutputStore:
    return OutputStore(tmp_path / "base with 'quotes'")


def look(store: OutputStore) -> Scattered:
    return asyncio.run(look_at_scattered(LocalTransport(), store, JOB))


def scatter(store: OutputStore, run_id: str, items: bytes = b'["a\\n", "b"]\n') -> None:
    paths = Unit(JOB, "scatter").paths(store)
    paths.repx.mkdir(parents=True)
    paths.out.mkdir()
    store.job(JOB).work_items.write_bytes(items)
    claim = ClaimRecord(Claimant("repx_simulation", run_id, "split.scatter"), "slurm")
    write_attempt(paths.attempt, Attempt(token=claim.token, outcome="succeeded", claim=claim))
    paths.success.touch()


def test_nothing_is_there_yet(store: OutputStore) -> None:
    found = look(store)
    assert (found.gather, found.scatter, found.content, found.attempt) == ("open", "open", None, None)
    assert not found.has_scattered(MINE, forced=False)
    with pytest.raises(WorkItemsError):
        found.items()


@pytest.mark.parametrize(("run_id", "forced", "expected"), [
    ("manual__1", False, True),
    ("manual__1", True, False),
    ("manual__2", True, True),
])  # fmt: skip
def test_a_forced_jobs_scatter_counts_when_this_dag_run_has_made_it(
    store: OutputStore, run_id: str, forced: bool, expected: bool
) -> None:
    scatter(store, run_id)
    found = look(store)
    assert found.scatter == "done"
    assert [item.content for item in found.items()] == [b'"a\\n"', b'"b"']
    assert found.has_scattered(MINE, forced=forced) is expected


def test_a_scatter_of_another_tool_has_no_record(store: OutputStore) -> None:
    scatter(store, "manual__1")
    Unit(JOB, "scatter").paths(store).attempt.unlink()
    found = look(store)
    assert found.has_scattered(MINE, forced=False)
    assert not found.has_scattered(MINE, forced=True)
    assert len(found.items()) == 2
