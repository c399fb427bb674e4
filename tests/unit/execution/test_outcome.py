from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.execution.jobs import JobOutcome
from airflow_provider_repx.execution.jobs.outcome import describe_exit, read_tail
from airflow_provider_repx.execution.store.attempt import Attempt, read_attempt, settle_markers, write_attempt
from airflow_provider_repx.execution.store.claimant import Claimant, ClaimRecord
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.units import Unit
from airflow_provider_repx.lab import JobId

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("attempt", "text"),
    [
        (Attempt("t", "succeeded", exit_code=0), ""),
        (Attempt("t", "failed", exit_code=7), "its script exited with 7"),
        (Attempt("t", "failed", exit_code=255), "its script exited with 255"),
        (
            Attempt("t", "failed", exit_code=137),
            "its script was ended by signal SIGKILL (exit code 137); the kernel does so when memory runs out",
        ),
        (Attempt("t", "failed", exit_code=139), "its script was ended by signal SIGSEGV (exit code 139)"),
        (Attempt("t", "failed", exit_code=161), "its script was ended by signal 33 (exit code 161)"),
        (Attempt("t", "failed", "TIMEOUT", started=1, ended=61), "TIMEOUT: stopped after 60 s, its time limit"),
        (Attempt("t", "failed", "the disk is full"), "the disk is full"),
        (Attempt("t", "cancelled", exit_code=143), "stopped on request"),
    ],
)
def test_causes_in_words(attempt: Attempt, text: str) -> None:
    assert describe_exit(attempt) == text


def outcome(**fields: object) -> JobOutcome:
    given = {"job_id": JobId("a-1.1"), "reused": False, "stdout": Path("/o"), "stderr": Path("/e")} | fields
    return JobOutcome(**given)  # type: ignore[arg-type]


def test_a_part_of_a_job_says_which() -> None:
    job = JobId("a-1.1")
    step = outcome(status="succeeded", unit=Unit(job, "step", 3, "fit"))
    assert step.describe() == "a-1.1 branch 3 step fit: succeeded"
    assert {key: step.summary()[key] for key in ("job", "part", "branch", "step")} == {
        "job": "a-1.1",
        "part": "step",
        "branch": 3,
        "step": "fit",
    }
    gather = outcome(status="succeeded", unit=Unit(job, "gather"))
    assert gather.describe() == "a-1.1 gather: succeeded"
    assert gather.summary()["part"] == "gather"
    assert "branch" not in gather.summary()
    assert "part" not in outcome(status="succeeded", unit=Unit(job)).summary()


def test_a_success_is_one_line() -> None:
    done = outcome(status="succeeded", seconds=1.25, cpu_seconds=2.0, peak_memory=3 * 2**20)
    assert done.describe() == ("a-1.1: succeeded in 1.2 s, 2.0 s of processor time, at most 3 MiB per process")
    assert outcome(status="succeeded", reused=True, holder="me").describe() == "a-1.1: reused, done by me"


def test_a_failure_brings_its_last_words() -> None:
    failed = outcome(status="failed", reused=True, holder="them", cause="why", stderr_tail=("one", "two"))
    assert failed.describe().splitlines() == [
        "a-1.1: failed: why",
        "it was run by them",
        "last lines of its standard error:",
        "    one",
        "    two",
        "logs: /e and /o",
    ]
    assert json.loads(json.dumps(failed.summary()))["status"] == "failed"


def test_the_tail_begins_at_the_offset(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"old\nnew \xff\n" + b"".join(b"%d\n" % number for number in range(3)))
    assert read_tail(log, 4) == ("new \ufffd", "0", "1", "2")
    assert read_tail(log, 4, lines=2) == ("1", "2")
    assert read_tail(log, 10_000)[0] == "old"
    assert read_tail(tmp_path / "none", 0) == ()


def test_the_tail_of_a_huge_log_is_short(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x" * 10_000_000 + "\nend\n")
    tail = read_tail(log, 0)
    assert tail[-1] == "end"
    assert sum(map(len, tail)) < 70_000


numbers = st.floats(0, 1e10)
attempts = st.builds(
    Attempt,
    token=st.text(),
    outcome=st.sampled_from(["succeeded", "failed", "cancelled"]),
    cause=st.text(),
    exit_code=st.none() | st.integers(0, 255),
    started=numbers,
    ended=numbers,
    cpu_seconds=st.none() | numbers,
    host=st.text(),
    stderr_offset=st.integers(0),
    claim=st.none() | st.builds(ClaimRecord, st.builds(Claimant, st.text())),
)


@given(attempts)
def test_an_attempt_comes_back(tmp_path_factory: pytest.TempPathFactory, attempt: Attempt) -> None:
    path = tmp_path_factory.mktemp("attempt") / "attempt.json"
    write_attempt(path, attempt)
    assert read_attempt(path) == attempt
    assert attempt.seconds >= 0


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"outcome":"unknown"}', "null"])
def test_a_broken_record_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "attempt.json"
    path.write_text(content)
    assert read_attempt(path) is None
    assert read_attempt(tmp_path / "missing") is None


@pytest.mark.parametrize(("state", "marker"), [("succeeded", "SUCCESS"), ("failed", "FAIL"), ("cancelled", None)])
def test_markers_follow_a_record(tmp_path: Path, state: str, marker: str | None) -> None:
    paths = JobPaths(tmp_path)
    paths.repx.mkdir()
    for _ in range(2):
        settle_markers(paths, Attempt("t", state))  # type: ignore[arg-type]
    assert [path.name for path in paths.repx.iterdir()] == ([marker] if marker else [])
