"""An output store asked over a transport answers as the same store asked directly."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store import Claimant, ClaimRecord, JobStatus, OutputStore
from airflow_provider_repx.execution.store.attempt import Attempt, write_attempt
from airflow_provider_repx.execution.store.completion import read_completions
from airflow_provider_repx.execution.store.remote import RemoteOutputStore
from airflow_provider_repx.execution.transport import LocalTransport
from airflow_provider_repx.lab import JobId

pytestmark = pytest.mark.unit

JOBS = tuple(map(JobId, ("done", "failed", "never", "stopped", "claimed", "left", "it's $HOME; `id`")))


@pytest.fixture
def store(tmp_path: Path) -> OutputStore:
    made = OutputStore(tmp_path / "a base")
    for job in JOBS:
        if job != "never":
            made.job(job).repx.mkdir(parents=True)
    made.job("done").success.touch()
    made.job("it's $HOME; `id`").success.touch()
    made.job("failed").fail.touch()
    for job in ("claimed", "left"):
        record = ClaimRecord(Claimant(label="x"), "slurm", array="repx-a", index=0)
        made.job(job).claim.write_text(record.to_json())
        if job == "left":
            write_attempt(made.job(job).attempt, Attempt(token=record.token, outcome="cancelled"))
    return made


def remote(store: OutputStore) -> RemoteOutputStore:
    return RemoteOutputStore(store.base_path, LocalTransport)


def test_states(store: OutputStore) -> None:
    states = remote(store).statuses(JOBS)
    assert list(states) == list(JOBS)
    assert states == dict(
        zip(
            JOBS,
            [
                JobStatus.SUCCEEDED,
                JobStatus.FAILED,
                JobStatus.PENDING,
                JobStatus.PENDING,
                JobStatus.RUNNING,
                JobStatus.PENDING,
                JobStatus.SUCCEEDED,
            ],
            strict=True,
        )
    )
    assert states == store.statuses(JOBS)
    assert remote(store).succeeded(JOBS) == store.succeeded(JOBS)
    assert remote(store).status(JOBS[1]) is JobStatus.FAILED


def test_records_of_attempts(store: OutputStore) -> None:
    odd = JOBS[-1]
    record = ClaimRecord(Claimant(label='a "quoted" name\nof two lines'))
    attempt = Attempt(record.token, "succeeded", started=1.5, ended=2.5, peak_memory=7, claim=record)
    write_attempt(store.job(odd).attempt, attempt)
    store.job("done").attempt.write_text("torn {")
    found = remote(store).attempts(JOBS)
    assert set(found) == {"left", odd}
    assert found[odd] == attempt
    assert found == store.attempts(JOBS)
    assert remote(store).attempts([]) == {}


def test_nothing_is_there_yet(tmp_path: Path) -> None:
    empty = RemoteOutputStore(tmp_path / "nowhere", LocalTransport)
    assert empty.statuses(JOBS[:2]) == dict.fromkeys(JOBS[:2], JobStatus.PENDING)
    assert empty.statuses([]) == {}
    assert empty.reconcile([]) == 0


def test_the_completion_log_is_made_to_agree_as_it_is_directly(store: OutputStore, tmp_path: Path) -> None:
    assert remote(store).reconcile(["done", "never"]) == 3
    # From its first record on RepX believes the log alone.
    assert read_completions(store) == {"done": True, "failed": False, "it's $HOME; `id`": True}
    assert remote(store).reconcile(JOBS) == 0
    assert store.reconcile(JOBS) == 0
    store.job("done").success.unlink()
    with store.completions.open("a") as log:
        log.write('{"id":"torn')
    assert remote(store).reconcile(JOBS) == 1
    assert read_completions(store)["done"] is False
    assert len(store.completions.read_text().splitlines()) == 5


def test_names_that_lead_elsewhere_are_refused(store: OutputStore) -> None:
    with pytest.raises(StoreError, match="not the id of a job"):
        remote(store).statuses([JobId("../x")])


def test_a_store_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")
    with pytest.raises(StoreError, match="outputs on this machine: cannot append"):
        RemoteOutputStore(tmp_path, LocalTransport)._ask("append", b"x")  # noqa: SLF001 - the way of all questions
