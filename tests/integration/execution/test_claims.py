"""Many workers and one job: whatever is killed, restarted, cleared or started twice, it runs once at a time."""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.jobs import cancel_local, ship_runner
from airflow_provider_repx.execution.jobs.environment import job_environment
from airflow_provider_repx.execution.jobs.supervision import Launch, supervise
from airflow_provider_repx.execution.store import Claim, ClaimRecord, JobStatus, read_claim, try_claim
from airflow_provider_repx.execution.store.attempt import read_attempt
from airflow_provider_repx.execution.store.process_identity import ProcessIdentity
from tests.integration.execution.bench import Bench, eventually, lives, try_of

if TYPE_CHECKING:
    from airflow_provider_repx.lab import JobId

pytestmark = pytest.mark.integration


def put_claim(bench: Bench, job: JobId, **changes: Any) -> ClaimRecord:
    """A claim that nobody holds the lock of, as a crash leaves it."""
    authority = changes.pop("authority", "local")
    process = replace(ProcessIdentity.current(), **changes)
    record = ClaimRecord(try_of(1, run_id="crashed"), authority=authority, process=process)
    bench.paths(job).repx.mkdir(parents=True)
    bench.paths(job).claim.write_text(record.to_json())
    return record


def test_of_two_racing_workers_one_runs_the_job(bench: Bench) -> None:
    jobs = [bench.add(f"race-{number}", "sleep 0.05") for number in range(20)]
    workers = [bench.worker(), bench.worker()]
    for job in jobs:
        for number, worker in enumerate(workers):
            worker.order(job, try_of(1, run_id=f"run-{number}"))
        answers = [worker.answer() for worker in workers]
        assert [answer["status"] for answer in answers] == ["succeeded", "succeeded"]
        assert sorted(answer["reused"] for answer in answers) == [False, True]
        assert bench.runs(job) == 1
        assert not bench.paths(job).claim.exists()
        assert not list(bench.paths(job).repx.glob(".*"))


def test_a_second_dag_run_waits_and_reuses(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    first, second = bench.worker(), bench.worker()
    first.order(job, try_of(1, run_id="first"))
    bench.started(job)
    second.order(job, try_of(1, run_id="second"))
    eventually(lambda: "waiting for its outcome" in second.said())
    assert "DAG run first of repx_simulation, task simulate[0], try 1, process" in second.said()
    bench.gate.touch()
    assert first.answer()["reused"] is False
    answer = second.answer()
    assert (answer["status"], answer["reused"]) == ("succeeded", True)
    assert "DAG run first" in answer["holder"]
    assert bench.runs(job) == 1


def test_a_failure_that_was_waited_for_is_reported(bench: Bench) -> None:
    job = bench.add(script=f"{bench.wait_at_gate}; echo no luck >&2; exit 4")
    first, second = bench.worker(), bench.worker()
    first.order(job, try_of(1, run_id="first"))
    bench.started(job)
    second.order(job, try_of(1, run_id="second"))
    eventually(lambda: "waiting for its outcome" in second.said())
    bench.gate.touch()
    assert first.answer()["status"] == "failed"
    answer = second.answer()
    assert (answer["status"], answer["reused"], answer["exit_code"]) == ("failed", True, 4)
    assert answer["stderr_tail"] == ["no luck"]
    assert "DAG run first" in answer["holder"]
    assert bench.runs(job) == 1


def test_a_cancelled_job_is_run_by_who_waited_for_it(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    first, second = bench.worker(), bench.worker()
    first.order(job, try_of(1, run_id="first"))
    bench.started(job)
    second.order(job, try_of(1, run_id="second"))
    eventually(lambda: "waiting for its outcome" in second.said())
    assert not cancel_local(bench.store, job, try_of(1, run_id="second"))
    assert cancel_local(bench.store, job, try_of(1, run_id="first"))
    assert first.answer()["status"] == "cancelled"
    bench.started(job, runs=2)
    bench.gate.touch()
    answer = second.answer()
    assert (answer["status"], answer["reused"]) == ("succeeded", False)
    assert bench.runs(job) == 2


def test_the_next_try_takes_the_result_of_an_orphan(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    lost = bench.worker()
    lost.order(job, try_of(1))
    bench.started(job)
    lost.end(signal.SIGKILL)
    assert bench.store.status(job) is JobStatus.RUNNING
    following = bench.worker()
    following.order(job, try_of(2))
    eventually(lambda: "waiting for its outcome" in following.said())
    bench.gate.touch()
    answer = following.answer()
    assert (answer["status"], answer["reused"]) == ("succeeded", True)
    assert "try 1" in answer["holder"]
    assert bench.runs(job) == 1
    assert bench.completions() == {job: True}
    assert not bench.paths(job).claim.exists()


def lose_worker_of_ended_job(bench: Bench, job: JobId) -> None:
    """Kill a worker in the middle of a job, and let the orphan end by itself."""
    lost = bench.worker()
    lost.order(job, try_of(1))
    processes = bench.started(job)
    lost.end(signal.SIGKILL)
    bench.gate.touch()
    eventually(lambda: not any(lives(process) for process in processes), "the end of the orphan")


def test_an_orphan_that_ended_long_ago_counts(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    lose_worker_of_ended_job(bench, job)
    assert bench.store.status(job) is JobStatus.SUCCEEDED
    assert bench.completions() == {}
    outcome = bench.run(job, try_of(1, run_id="other"))
    assert (outcome.status, outcome.reused) == ("succeeded", True)
    assert bench.completions() == {job: True}
    assert not bench.paths(job).claim.exists()


def test_an_orphans_failure_is_that_of_its_own_dag_run_once(bench: Bench) -> None:
    job = bench.add(script=f"{bench.wait_at_gate}; exit 5")
    lose_worker_of_ended_job(bench, job)
    outcome = bench.run(job, try_of(2))
    assert (outcome.status, outcome.reused, outcome.exit_code) == ("failed", True, 5)
    assert bench.runs(job) == 1
    assert bench.completions() == {job: False}
    assert not bench.run(job, try_of(3)).reused
    assert bench.runs(job) == 2


def test_an_orphans_failure_does_not_hold_back_another_dag_run(bench: Bench) -> None:
    job = bench.add(script=f"{bench.wait_at_gate}; exit 5")
    lose_worker_of_ended_job(bench, job)
    assert not bench.run(job, try_of(1, run_id="other")).reused
    assert bench.runs(job) == 2


def test_a_runner_killed_between_record_and_marker_is_completed(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    lose_worker_of_ended_job(bench, job)
    bench.paths(job).success.unlink()
    outcome = bench.run(job, try_of(2))
    assert (outcome.status, outcome.reused) == ("succeeded", True)
    assert bench.paths(job).success.exists()


def test_a_killed_runner_is_not_a_success(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    worker = bench.worker()
    worker.order(job, try_of(1))
    runner, *others = bench.started(job)
    assert others
    runner.kill()
    answer = worker.answer()
    assert answer["status"] == "cancelled"
    assert "runner was killed by signal 9" in answer["cause"]
    assert bench.store.status(job) is JobStatus.PENDING
    assert not any(lives(process) for process in others)
    assert bench.completions() == {}
    bench.gate.touch()
    assert bench.run(job, try_of(2)).status == "succeeded"


def test_without_worker_and_runner_the_script_is_awaited_and_then_run_again(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    lost = bench.worker()
    lost.order(job, try_of(1))
    runner, *_ = bench.started(job)
    lost.end(signal.SIGKILL)
    runner.kill()
    following = bench.worker()
    following.order(job, try_of(2))
    eventually(lambda: "waiting for its outcome" in following.said())
    assert bench.runs(job) == 1
    bench.gate.touch()
    answer = following.answer()
    assert (answer["status"], answer["reused"]) == ("succeeded", False)
    assert bench.runs(job) == 2


def test_what_an_ended_orphan_left_running_does_not_block_the_next(bench: Bench) -> None:
    job = bench.add(script=f"setsid sleep 600 & {bench.wait_at_gate}; exit 6")
    lost = bench.worker()
    lost.order(job, try_of(1))
    bench.started(job)
    lost.end(signal.SIGKILL)
    bench.gate.touch()
    eventually(bench.paths(job).fail.exists)
    assert bench.store.status(job) is JobStatus.RUNNING
    outcome = bench.run(job, try_of(2))
    assert (outcome.status, outcome.exit_code, outcome.reused) == ("failed", 6, True)


def test_a_clear_that_overtakes_the_kill_ends_the_earlier_try(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    earlier, later = bench.worker(), bench.worker()
    earlier.order(job, try_of(1))
    bench.started(job)
    later.order(job, try_of(2))
    assert earlier.answer()["status"] == "cancelled"
    bench.started(job, runs=2)
    bench.gate.touch()
    answer = later.answer()
    assert (answer["status"], answer["reused"]) == ("succeeded", False)
    assert bench.runs(job) == 2


@pytest.mark.parametrize("other", [try_of(2, map_index=1), try_of(2, task_id="measure"), try_of(1)])
def test_only_a_later_try_of_the_same_task_instance_overtakes(bench: Bench, other: Any) -> None:
    job = bench.add(script=bench.wait_at_gate)
    holder, waiting = bench.worker(), bench.worker()
    holder.order(job, try_of(1))
    bench.started(job)
    waiting.order(job, other)
    eventually(lambda: "waiting for its outcome" in waiting.said())
    bench.gate.touch()
    assert holder.answer()["status"] == "succeeded"
    assert waiting.answer()["reused"] is True
    assert bench.runs(job) == 1


def test_under_force_another_dag_runs_result_is_waited_for_and_not_taken(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    first, second = bench.worker(), bench.worker()
    first.order(job, try_of(1, run_id="first"))
    bench.started(job)
    second.order(job, try_of(1, run_id="second"), force=True)
    eventually(lambda: "waiting for its outcome" in second.said())
    bench.gate.touch()
    assert first.answer()["status"] == "succeeded"
    assert second.answer()["reused"] is False
    assert bench.runs(job) == 2


def test_a_job_whose_inputs_are_made_anew_while_it_reads_them_does_not_count(bench: Bench) -> None:
    producer = bench.add("produce-1.0", "echo x > data.txt")
    reader = bench.add(script=bench.wait_at_gate, reads={"data": (producer, "data")})
    bench.run(producer)
    worker = bench.worker()
    worker.order(reader, try_of(1, run_id="first"))
    bench.started(reader)
    assert not bench.run(producer, try_of(1, run_id="second"), force=True).reused
    bench.gate.touch()
    answer = worker.answer()
    assert answer["status"] == "cancelled"
    assert "was made anew while it ran" in answer["cause"]
    assert producer in answer["cause"]
    assert bench.store.status(reader) is JobStatus.PENDING
    assert reader not in bench.completions()
    assert bench.run(reader, try_of(2, run_id="first")).status == "succeeded"


def test_a_producer_that_is_only_looked_at_meanwhile_changes_nothing(bench: Bench) -> None:
    producer = bench.add("produce-1.0", "echo x > data.txt")
    reader = bench.add(script=bench.wait_at_gate, reads={"data": (producer, "data")})
    bench.run(producer)
    worker = bench.worker()
    worker.order(reader, try_of(1, run_id="first"))
    bench.started(reader)
    assert bench.run(producer, try_of(1, run_id="second")).reused
    bench.gate.touch()
    assert worker.answer()["status"] == "succeeded"


STRAY = "env -i setsid bash -c \"trap '' TERM; touch ready; while :; do sleep 0.1; done\" &\n"
"""A child that left the script's group, session and environment, and cannot be asked to end."""
STUBBORN = f"trap '' TERM INT HUP\n{STRAY}"


@pytest.mark.parametrize("script", ["", STRAY, STUBBORN], ids=["obedient", "stubborn child", "stubborn script"])
def test_an_interrupted_worker_ends_the_whole_job(bench: Bench, script: str) -> None:
    job = bench.add(script=f"{script}{bench.wait_at_gate}")
    worker = bench.worker()
    worker.order(job, try_of(1), grace=1.0)
    bench.started(job)
    eventually(lambda: not script or (bench.paths(job).out / "ready").exists())
    processes = bench.processes(job)
    worker.process.send_signal(signal.SIGINT)
    worker.process.wait(20)
    assert not [process for process in processes if lives(process)]
    assert bench.store.status(job) is JobStatus.PENDING
    assert not bench.paths(job).claim.exists()
    attempt = read_attempt(bench.paths(job).attempt)
    assert attempt is not None
    assert attempt.outcome == "cancelled"


def test_a_worker_that_cancels_in_its_signal_handler_goes_on(bench: Bench) -> None:
    job = bench.add(script=f"{STUBBORN}{bench.wait_at_gate}")
    other = bench.add("other-1.1")
    worker = bench.worker()
    worker.order(job, try_of(1), grace=1.0)
    eventually((bench.paths(job).out / "ready").exists)
    processes = bench.processes(job)
    worker.process.send_signal(signal.SIGTERM)
    answer = worker.answer()
    assert (answer["status"], answer["cause"]) == ("cancelled", "stopped on request")
    assert not [process for process in processes if lives(process)]
    worker.order(other, try_of(1))
    assert worker.answer()["status"] == "succeeded"


def test_an_attempt_that_was_stopped_before_it_began_ends_at_once(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    paths = bench.paths(job)
    paths.repx.mkdir(parents=True)
    claim = try_claim(paths.claim, try_of(1))
    assert isinstance(claim, Claim)
    launch = Launch(
        runner=ship_runner(bench.store),
        executable=bench.lab.file(f"jobs/{job}/bin/main"),
        inputs=paths.inputs,
        parameters=paths.parameters,
        environment=job_environment(os.environ, lab=bench.lab.path, token=claim.record.token),
        execution_type="native",
        grace=1.0,
        time_limit=None,
    )
    with claim:
        assert supervise(launch, paths, claim, lambda: True).attempt.outcome == "cancelled"


def test_cancel_from_another_thread_ends_only_the_own_try(bench: Bench) -> None:
    job = bench.add(script=f"{STUBBORN}{bench.wait_at_gate}")
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(bench.run(job, try_of(2), grace=1.0)))
    thread.start()
    eventually((bench.paths(job).out / "ready").exists)
    assert not cancel_local(bench.store, job, try_of(1), grace=1.0)
    assert cancel_local(bench.store, job, try_of(2), grace=1.0)
    thread.join(20)
    assert found[0].status == "cancelled"
    assert found[0].cause == "stopped on request"
    assert not bench.paths(job).claim.exists()


def test_cancel_while_waiting_for_somebody_else_leaves_them_alone(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    holder = bench.worker()
    holder.order(job, try_of(1, run_id="holder"))
    bench.started(job)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(bench.run(job, try_of(1))))
    thread.start()
    eventually(lambda: cancel_local(bench.store, job, try_of(1)), "the cancellation")
    thread.join(20)
    assert found[0].status == "cancelled"
    bench.gate.touch()
    assert holder.answer()["status"] == "succeeded"
    assert bench.runs(job) == 1


def test_a_claim_of_before_the_reboot_is_dead(bench: Bench) -> None:
    job = bench.add()
    put_claim(bench, job, boot_id="an-earlier-boot")
    assert bench.store.status(job) is JobStatus.PENDING
    outcome = bench.run(job)
    assert (outcome.status, outcome.reused) == ("succeeded", False)


def test_a_free_claim_of_another_machine_is_not_judged(bench: Bench) -> None:
    job = bench.add()
    put_claim(bench, job, boot_id="elsewhere", host="node7")
    assert bench.store.status(job) is JobStatus.RUNNING
    with pytest.raises(StoreError, match=r"repx/claim: the job is claimed by DAG run crashed.*node7.*remove this file"):
        bench.run(job)
    assert bench.runs(job) == 0
    bench.paths(job).success.touch()
    assert bench.run(job).reused


def test_an_unreadable_claim_is_not_judged(bench: Bench) -> None:
    job = bench.add()
    put_claim(bench, job)
    bench.paths(job).claim.write_text("{")
    with pytest.raises(StoreError, match=r"repx/claim: this claim cannot be read"):
        bench.run(job)


def test_a_claim_of_slurm_is_never_judged_by_its_lock(bench: Bench) -> None:
    job = bench.add()
    record = put_claim(bench, job, authority="slurm")
    assert bench.store.status(job) is JobStatus.RUNNING
    worker = bench.worker()
    worker.order(job, try_of(1))
    eventually(lambda: "waiting for its outcome" in worker.said())
    assert read_claim(bench.paths(job).claim) == record
    bench.paths(job).success.touch()
    bench.paths(job).claim.unlink()
    assert worker.answer()["reused"] is True


def test_the_attempt_says_who_made_it(bench: Bench) -> None:
    job = bench.add()
    bench.run(job)
    data = json.loads(bench.paths(job).attempt.read_text())
    assert data["claim"]["claimant"]["run_id"] == "manual"
    assert data["claim"]["process"]["pid"] == os.getpid()
