"""Batches of real jobs on this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.execution.batches import BatchResult, LocalBatch, done_jobs
from airflow_provider_repx.execution.jobs import JobRequest, run_job
from airflow_provider_repx.execution.store import Claimant, OutputStore, try_claim
from airflow_provider_repx.lab import JobId, Lab, read_lab
from tests.support.experiments import Experiment
from tests.support.labs import JobSpec, RunSpec, write_lab

pytestmark = pytest.mark.unit

DEADLINE = 30.0


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment(tmp_path)


def points(experiment: Experiment, number: int) -> tuple[Lab, list[JobId]]:
    specs: list[JobSpec] = [experiment.job("simulate", f"s{point}") for point in range(number)]
    write_lab(experiment.lab, [RunSpec("simulation", specs)])
    lab = read_lab(experiment.lab)
    return lab, [JobId(spec.id) for spec in specs]


def claimant(run_id: str = "first", attempt: int = 1, index: int = 0) -> Claimant:
    return Claimant("dag", run_id, "simulate", index, attempt)


def batch_of(experiment: Experiment, lab: Lab, jobs: list[JobId], **options: Any) -> LocalBatch:
    store = OutputStore(experiment.base)
    return LocalBatch(
        lab=lab, run="simulation", jobs=jobs, store=store, **{"claimant": claimant(), "parallel": 2, **options}
    )


def running(experiment: Experiment) -> int:
    return len(list(experiment.folder.glob("pid-*")))


def settle_aside(batch: LocalBatch) -> tuple[threading.Thread, list[BatchResult]]:
    results: list[BatchResult] = []
    thread = threading.Thread(target=lambda: results.append(batch.settle()))
    thread.start()
    return thread, results


def test_so_many_jobs_run_at_once_and_no_more(experiment: Experiment) -> None:
    lab, jobs = points(experiment, 6)
    holds = [experiment.hold(f"s{point}") for point in range(6)]
    batch = batch_of(experiment, lab, jobs, parallel=3)
    thread, results = settle_aside(batch)
    wait_until(lambda: running(experiment) == 3)
    for count, hold in enumerate(holds[:3], start=1):
        hold.unlink()
        wait_until(lambda count=count: running(experiment) == 3 + count)  # type: ignore[misc]
    for hold in holds[3:]:
        hold.unlink()
    thread.join(DEADLINE)
    assert results[0].counts["executed"] == 6


def test_a_failure_stays_its_own_and_is_told(experiment: Experiment, caplog: pytest.LogCaptureFixture) -> None:
    lab, jobs = points(experiment, 4)
    experiment.fail("s1")
    with caplog.at_level("INFO"):
        result = batch_of(experiment, lab, jobs).settle()
    assert result.counts == {"reused": 0, "executed": 3, "failed": 1, "cancelled": 0, "skipped": 0, "not_started": 0}
    assert [outcome.job_id for outcome in result.with_status("failed")] == [jobs[1]]
    lines = [message for message in caplog.messages if message.startswith("[")]
    assert len(lines) == 4
    assert sorted(line.split("]")[0] for line in lines) == ["[1/4", "[2/4", "[3/4", "[4/4"]


def test_only_what_is_not_done_is_run(experiment: Experiment) -> None:
    lab, jobs = points(experiment, 4)
    experiment.fail("s1")
    batch_of(experiment, lab, jobs).settle()
    (experiment.folder / "fail-s1").unlink()
    result = batch_of(experiment, lab, jobs, claimant=claimant(attempt=2)).settle()
    assert (result.counts["reused"], result.counts["executed"]) == (3, 1)
    assert experiment.executions() == {"s0": 1, "s1": 2, "s2": 1, "s3": 1}


def test_nothing_starts_once_it_may_not(experiment: Experiment) -> None:
    lab, jobs = points(experiment, 4)
    experiment.fail("s0")
    batch = batch_of(experiment, lab, jobs, parallel=1)
    batch.may_start = lambda: not batch.has_failures
    result = batch.settle()
    assert set(result.skipped) == set(jobs[1:])
    assert set(experiment.executions()) == {"s0"}


def test_stop_ends_the_running_and_leaves_the_others(experiment: Experiment) -> None:
    lab, jobs = points(experiment, 5)
    for point in range(5):
        experiment.hold(f"s{point}")
    batch = batch_of(experiment, lab, jobs)
    thread, results = settle_aside(batch)
    wait_until(lambda: running(experiment) == 2)
    batch.stop()
    thread.join(DEADLINE)
    [result] = results
    assert len(result.with_status("cancelled")) + len(result.left) == 5
    assert sum(experiment.executions().values()) == 2
    store = OutputStore(experiment.base)
    assert not store.succeeded(jobs)
    assert not list(experiment.base.glob("outputs/*/repx/claim"))


def test_a_job_of_somebody_else_is_waited_for_aside(experiment: Experiment) -> None:
    lab, jobs = points(experiment, 3)
    store = OutputStore(experiment.base)
    paths = store.job(jobs[0])
    paths.repx.mkdir(parents=True)
    claim = try_claim(paths.claim, claimant("other"))
    batch = batch_of(experiment, lab, jobs, parallel=1)
    thread, results = settle_aside(batch)
    # The one place to run in is not taken by the job that is waited for.
    wait_until(lambda: len(store.succeeded(jobs)) == 2)
    assert thread.is_alive()
    claim.release()  # type: ignore[union-attr]
    thread.join(DEADLINE)
    assert results[0].counts["executed"] == 3


def test_two_batches_share_the_work_and_run_nothing_twice(experiment: Experiment) -> None:
    lab, jobs = points(experiment, 8)
    first = batch_of(experiment, lab, jobs, claimant=claimant("first"))
    second = batch_of(experiment, lab, list(reversed(jobs)), claimant=claimant("second"))
    running_both = [settle_aside(batch) for batch in (first, second)]
    for thread, _ in running_both:
        thread.join(DEADLINE)
    assert set(experiment.executions().values()) == {1}
    assert all(results[0].counts["executed"] + results[0].counts["reused"] == 8 for _, results in running_both)


def test_what_keeps_one_job_from_starting_is_kept_for_the_result(experiment: Experiment) -> None:
    lab, jobs = points(experiment, 3)
    with (experiment.lab / f"jobs/{jobs[1]}/bin/main").open("a") as script:
        script.write("# tampered with\n")
    result = batch_of(experiment, lab, jobs).settle()
    assert set(result.errors) == {jobs[1]}
    assert result.counts["executed"] == 2


def test_an_interruption_ends_the_jobs_and_goes_on(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, jobs = points(experiment, 4)
    for point in range(4):
        experiment.hold(f"s{point}")
    batch = batch_of(experiment, lab, jobs)

    def interrupt(_: object) -> None:
        wait_until(lambda: running(experiment) == 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "_await", interrupt)
    with pytest.raises(KeyboardInterrupt):
        batch.settle()
    assert sum(experiment.executions().values()) == 2
    assert not list(experiment.base.glob("outputs/*/repx/claim"))


def test_a_forced_job_is_done_once_this_dag_run_has_made_it(experiment: Experiment) -> None:
    lab, jobs = points(experiment, 2)
    batch_of(experiment, lab, jobs).settle()
    store = OutputStore(experiment.base)
    assert done_jobs(store, jobs, frozenset(), claimant("second")) == set(jobs)
    assert done_jobs(store, jobs, frozenset(jobs[:1]), claimant("second")) == {jobs[1]}
    run_job(JobRequest(lab, "simulation", jobs[0], store, claimant("second"), force=True))
    assert done_jobs(store, jobs, frozenset(jobs[:1]), claimant("second")) == set(jobs)
