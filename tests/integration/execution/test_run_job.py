"""One job at a time: files, outcomes, environment, force, limits."""

from __future__ import annotations

import json
import resource
import signal
import stat
from typing import TYPE_CHECKING

import psutil
import pytest

from airflow_provider_repx.errors import JobInputError, LabIntegrityError, LabLookupError, StoreError
from airflow_provider_repx.execution.jobs import JobRequest, run_job, ship_runner
from airflow_provider_repx.execution.store import JobStatus, OutputStore, results
from airflow_provider_repx.lab import JobId
from tests.integration.execution.bench import RUN, Bench, eventually, lives, try_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_a_success_leaves_what_repx_expects(bench: Bench) -> None:
    parameters = {"rate": 0.5, "label": 'it\'s "ü" $HOME\n', "count": 3, "on": True, "none": None}
    script = 'cp "$parameters_json" data.txt; echo said; echo complained >&2'
    job = bench.add(script=script, params=parameters)
    outcome = bench.run(job)
    paths = bench.paths(job)
    assert (outcome.status, outcome.reused, outcome.exit_code, outcome.cause) == ("succeeded", False, 0, "")
    assert outcome.seconds is not None
    assert outcome.cpu_seconds is not None
    assert outcome.started is not None
    assert 0 < outcome.seconds < 30
    assert json.loads((paths.out / "data.txt").read_text()) == parameters
    assert paths.parameters.read_text() == json.dumps(parameters, indent=2, ensure_ascii=False)
    assert paths.inputs.read_text() == "{}"
    assert paths.stdout.read_text() == "said\n"
    assert paths.stderr.read_text() == "complained\n"
    assert paths.success.read_bytes() == b""
    assert not paths.fail.exists()
    assert bench.store.completions.read_text() == f'{{"id":"{job}","s":"ok"}}\n'
    names = {path.name for path in paths.repx.iterdir()}
    assert names == {"inputs.json", "parameters.json", "stdout.log", "stderr.log", "SUCCESS", "attempt.json"}


def test_a_done_job_is_reused_by_everybody(bench: Bench) -> None:
    job = bench.add()
    bench.run(job)
    outcome = bench.run(job, try_of(1, run_id="other"))
    assert (outcome.status, outcome.reused) == ("succeeded", True)
    assert "DAG run manual of repx_simulation, task simulate[0], try 1" in outcome.describe()
    assert bench.runs(job) == 1


def test_the_marker_alone_makes_a_job_done(bench: Bench) -> None:
    job = bench.add()
    paths = bench.paths(job)
    paths.repx.mkdir(parents=True)
    paths.success.touch()
    outcome = bench.run(job)
    assert (outcome.status, outcome.reused, outcome.holder) == ("succeeded", True, "another tool")
    assert bench.runs(job) == 0


def test_outputs_of_a_producer_become_inputs(bench: Bench) -> None:
    producer = bench.add("prepare-1.1", "echo 42 > data.txt")
    reader = 'python3 -c "import json,sys; print(open(json.load(open(sys.argv[1]))[\'given\']).read())" "$inputs_json"'
    consumer = bench.add("simulate-1.1", reader, reads={"given": (producer, "data")})
    with pytest.raises(JobInputError, match=f"{RUN}/{consumer}: input 'given': its producer {producer} is not done"):
        bench.run(consumer)
    assert not bench.paths(consumer).claim.exists()
    bench.run(producer)
    assert bench.run(consumer).status == "succeeded"
    assert bench.paths(consumer).stdout.read_text().split() == ["42"]
    assert json.loads(bench.paths(consumer).inputs.read_text()) == {
        "given": str(bench.paths(producer).out / "data.txt")
    }


def test_a_failure_shows_the_last_words_of_this_try_only(bench: Bench) -> None:
    job = bench.add(script="echo once more >> ../repx/count; echo try $(wc -l < ../repx/count) >&2; exit 3")
    first = bench.run(job)
    second = bench.run(job, try_of(2))
    assert (first.status, first.exit_code, first.signal) == ("failed", 3, None)
    assert first.stderr_tail == ("try 1",)
    assert second.stderr_tail == ("try 2",)
    assert bench.paths(job).stderr.read_text() == "try 1\ntry 2\n"
    assert bench.paths(job).fail.read_bytes() == b""
    assert not bench.paths(job).success.exists()
    assert bench.completions() == {job: False}
    description = second.describe()
    assert "its script exited with 3" in description
    assert "    try 2" in description
    assert str(bench.paths(job).stderr) in description


def test_a_script_ended_by_a_signal_names_it(bench: Bench) -> None:
    job = bench.add(script="kill -SEGV $$")
    outcome = bench.run(job)
    assert (outcome.status, outcome.exit_code, outcome.signal) == ("failed", 139, signal.SIGSEGV)
    assert "SIGSEGV" in outcome.cause


def test_a_failed_job_that_succeeds_later_changes_marker_and_log(bench: Bench) -> None:
    job = bench.add(script=f"test -e '{bench.gate}'")
    assert bench.run(job).status == "failed"
    bench.gate.touch()
    assert bench.run(job, try_of(2)).status == "succeeded"
    assert bench.paths(job).success.exists()
    assert not bench.paths(job).fail.exists()
    assert bench.completions() == {job: True}


def test_force_runs_a_done_job_once_per_dag_run(bench: Bench) -> None:
    job = bench.add()
    bench.run(job, try_of(1, run_id="first"))
    assert not bench.run(job, try_of(1, run_id="second"), force=True).reused
    assert bench.run(job, try_of(2, run_id="second"), force=True).reused
    assert bench.runs(job) == 2
    lines = [json.loads(line)["s"] for line in bench.store.completions.read_text().splitlines()]
    assert lines == ["ok", "fail", "ok"]


def test_people_outside_of_airflow_are_no_common_dag_run(bench: Bench) -> None:
    job = bench.add()
    bench.run(job, try_of(1, run_id=""), force=True)
    assert not bench.run(job, try_of(1, run_id=""), force=True).reused


def test_a_forced_run_that_fails_leaves_no_success(bench: Bench) -> None:
    job = bench.add(script=f"test ! -e '{bench.gate}'")
    bench.run(job)
    bench.gate.touch()
    assert bench.run(job, try_of(1, run_id="second"), force=True).status == "failed"
    assert bench.store.status(job) is JobStatus.FAILED
    assert bench.completions() == {job: False}


def test_nothing_of_airflow_and_no_secret_reaches_a_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW_CONN_DB", "_AIRFLOW_PROCESS_CONTEXT", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "top secret")
    monkeypatch.setenv("NIX_CONFIG", "access-tokens = top secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("LICENSE_SERVER", "host")
    job = bench.add(script="env -0 > data.txt")
    tools = bench.path / "lab ü/host-tools" / ("a" * 64) / "bin"
    tools.mkdir(parents=True)
    bench.run(job, pass_environment=("LICENSE_*", "AIRFLOW_*"))
    text = (bench.paths(job).out / "data.txt").read_text()
    environment = dict(entry.split("=", 1) for entry in text.split("\0") if entry)
    assert "top secret" not in text
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["LICENSE_SERVER"] == "host"
    assert environment["PATH"].split(":")[0] == str(tools)


def test_the_runner_is_shipped_once_and_cannot_be_written(bench: Bench) -> None:
    path = ship_runner(bench.store)
    before = path.stat()
    assert ship_runner(bench.store) == path
    assert path.stat().st_ino == before.st_ino
    assert stat.S_IMODE(before.st_mode) == 0o555
    assert path.name == "job-runner"
    assert path.parent.parent == bench.store.base_path / "repx" / "runner"


def test_a_time_limit_ends_the_job_as_failed(bench: Bench) -> None:
    job = bench.add(script="sleep 600")
    outcome = bench.run(job, time_limit=0.3)
    assert outcome.status == "failed"
    assert outcome.cause.startswith("TIMEOUT")
    assert bench.store.status(job) is JobStatus.FAILED
    assert bench.completions() == {job: False}


def test_a_job_that_was_stopped_and_continued_is_still_awaited(bench: Bench) -> None:
    job = bench.add(script=f"{bench.wait_at_gate}; echo done > data.txt")
    worker = bench.worker()
    worker.order(job, try_of(1))
    _, script, *_ = bench.started(job)
    script.suspend()
    eventually(lambda: script.status() == psutil.STATUS_STOPPED)
    bench.gate.touch()
    script.resume()
    assert worker.answer()["status"] == "succeeded"


def test_peak_memory_is_that_of_the_job_not_of_the_worker(bench: Bench) -> None:
    small = bench.add("small-1.1")
    # Bigger than the process of the tests can be.
    large = bench.add("large-1.1", "python3 -c \"len(b'x' * 2**30)\"")
    assert bench.run(small).peak_memory is None
    peak = bench.run(large).peak_memory
    assert peak is not None
    assert 2**30 < peak < 2**31
    attempts = bench.store.attempts([small, large])
    assert [attempts[job].peak_memory for job in (small, large)] == [None, peak]


def test_what_the_script_leaves_running_is_ended(bench: Bench) -> None:
    script = "for way in setsid ''; do $way sleep 600 & echo $! >> data.txt; done; sleep 0.2"
    job = bench.add(script=script)
    worker = bench.worker()
    worker.order(job, try_of(1))
    assert worker.answer()["status"] == "succeeded"
    left = [int(pid) for pid in (bench.paths(job).out / "data.txt").read_text().split()]
    assert len(left) == 2
    assert not [pid for pid in left if psutil.pid_exists(pid) and lives(psutil.Process(pid))]


def test_an_unusable_store_says_which_and_why(bench: Bench) -> None:
    job = bench.add()
    (bench.path / "full").write_text("not a folder")
    request = JobRequest(bench.lab, RUN, job, OutputStore(bench.path / "full"), try_of(1))
    with pytest.raises(StoreError, match=r"full.*Not a directory.*may write there"):
        run_job(request)


def test_an_outcome_that_cannot_be_recorded_is_no_success(bench: Bench) -> None:
    job = bench.add()
    (bench.paths(job).attempt / "occupied").mkdir(parents=True)
    outcome = bench.run(job)
    assert outcome.status == "failed"
    assert "could not record the outcome" in outcome.cause
    assert "attempt.json" in outcome.cause
    assert not bench.paths(job).success.exists()
    assert bench.completions() == {job: False}


def test_a_full_disk_is_no_success(bench: Bench) -> None:
    job = bench.add(script="head -c 100000 /dev/zero > data.txt")
    worker = bench.worker()
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (20000, 20000))
    worker.order(job, try_of(1))
    assert worker.answer()["status"] == "failed"
    assert not bench.paths(job).success.exists()


def test_a_changed_script_is_not_run(bench: Bench) -> None:
    job = bench.add()
    script = bench.lab.path / "jobs" / job / "bin" / "main"
    script.write_text(script.read_text() + "rm -rf everything\n")
    with pytest.raises(LabIntegrityError):
        bench.run(job)
    assert bench.runs(job) == 0
    assert not bench.paths(job).claim.exists()


def test_an_unknown_job_is_refused(bench: Bench) -> None:
    bench.add()
    with pytest.raises(LabLookupError, match=r"no job called 'nothing-1\.0'"):
        bench.run(JobId("nothing-1.0"))


def test_status_follows_a_job(bench: Bench) -> None:
    job = bench.add(script=bench.wait_at_gate)
    other = bench.add("other-1.1")
    assert bench.store.statuses([job, other]) == {job: JobStatus.PENDING, other: JobStatus.PENDING}
    worker = bench.worker()
    worker.order(job, try_of(1))
    bench.started(job)
    assert bench.store.statuses([job, other]) == {job: JobStatus.RUNNING, other: JobStatus.PENDING}
    bench.gate.touch()
    assert worker.answer()["status"] == "succeeded"
    assert bench.store.succeeded([job, other]) == {job}
    rows = results(bench.lab, RUN, bench.store)
    assert [(row.job_id, row.stage, row.status.value) for row in rows] == [
        (job, "simulate", "succeeded"),
        (other, "other", "pending"),
    ]
    assert rows[0].outputs == {"data": bench.paths(job).out / "data.txt"}


def test_logs_of_a_running_job_grow_in_place(bench: Bench, tmp_path: Path) -> None:
    job = bench.add(script=f"echo early; {bench.wait_at_gate}; echo late")
    worker = bench.worker()
    worker.order(job, try_of(1))
    eventually(lambda: bench.paths(job).stdout.exists() and bench.paths(job).stdout.read_text() == "early\n")
    bench.gate.touch()
    worker.answer()
    assert bench.paths(job).stdout.read_text() == "early\nlate\n"
