"""An output store asked over a transport answers as the same store asked directly."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store import Claimant, ClaimRecord, JobPaths, JobStatus, OutputStore
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


def test_states_of_scatter_gather_jobs(tmp_path: Path) -> None:
    store = OutputStore(tmp_path / "a base")
    jobs = tuple(map(JobId, ("begun", "failed scatter", "failed step", "at work", "done")))
    record = ClaimRecord(Claimant(label="x"), "slurm", array="repx-a", index=0)
    for job in jobs:
        paths = store.job(job)
        for part in ("scatter", "branch-0/step-fit it", "branch-1/step-fit it"):
            JobPaths(paths.root / part).repx.mkdir(parents=True)
        (paths.root / "scatter" / "out").mkdir()
        paths.work_items.write_text("[1, 2]")
    JobPaths(store.job("failed scatter").root / "scatter").fail.touch()
    for job in ("failed step", "at work", "done"):
        JobPaths(store.job(job).root / "branch-1/step-fit it").fail.touch()
    running = JobPaths(store.job("at work").root / "branch-0/step-fit it")
    running.claim.write_text(record.to_json())
    store.job("done").repx.mkdir()
    store.job("done").success.touch()
    states = remote(store).statuses(jobs)
    assert list(states.values()) == [
        JobStatus.PENDING,
        JobStatus.FAILED,
        JobStatus.FAILED,
        JobStatus.RUNNING,
        JobStatus.SUCCEEDED,
    ]
    assert states == store.statuses(jobs)
    folders = [JobPaths(store.job(job).root / part) for job in jobs for part in ("", "branch-0/step-fit it", "none")]
    assert remote(store).folder_statuses(folders) == store.folder_statuses(folders)
    assert remote(store).claims(folders) == store.claims(folders) == {running: record}
    # A part that failed is no record of its job.
    assert remote(store).reconcile(jobs) == store.reconcile(jobs) + 1 == 1


def test_claims_are_those_that_count(store: OutputStore) -> None:
    folders = [store.job(job) for job in JOBS]
    claimed = store.job("claimed")
    first = ClaimRecord.parse(claimed.claim.read_text())
    assert first is not None
    assert remote(store).claims(folders) == store.claims(folders) == {claimed: first}
    later = ClaimRecord(Claimant(label="later"), "slurm", array="repx-b", index=1)
    claimed.claim.with_name(f"claim.over-{first.token}").touch()
    claimed.claim.with_name(f"claim.after-{first.token}").write_text(later.to_json())
    assert remote(store).claims(folders) == store.claims(folders) == {claimed: later}
    assert remote(store).claims([]) == {}


def test_contents_of_files(store: OutputStore) -> None:
    odd = store.job("it's $HOME; `id`").repx / "two\nlines"
    files = {odd: b"a\0b\n", store.job("done").success: b"", store.job("failed").root / "large": bytes(300_000)}
    for file, content in files.items():
        file.write_bytes(content)
    asked = [*files, store.job("never").inputs, store.job("done").success / "below", store.job("done").root]
    assert remote(store).contents(asked) == files
    assert store.contents(asked[:-1]) == files
    assert remote(store).contents([]) == {}


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
