from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store import JobStatus, OutputStore
from airflow_provider_repx.lab import JobId

pytestmark = pytest.mark.unit


def test_names_are_those_of_repx() -> None:
    store = OutputStore(Path("/base"))
    paths = store.job("abc-simulate-1.1")
    below = {
        name: str(getattr(paths, name).relative_to("/base"))
        for name in ("out", "inputs", "parameters", "stdout", "stderr", "success", "fail", "claim", "attempt")
    }
    assert below == {
        "out": "outputs/abc-simulate-1.1/out",
        "inputs": "outputs/abc-simulate-1.1/repx/inputs.json",
        "parameters": "outputs/abc-simulate-1.1/repx/parameters.json",
        "stdout": "outputs/abc-simulate-1.1/repx/stdout.log",
        "stderr": "outputs/abc-simulate-1.1/repx/stderr.log",
        "success": "outputs/abc-simulate-1.1/repx/SUCCESS",
        "fail": "outputs/abc-simulate-1.1/repx/FAIL",
        "claim": "outputs/abc-simulate-1.1/repx/claim",
        "attempt": "outputs/abc-simulate-1.1/repx/attempt.json",
    }
    assert store.completions == Path("/base/outputs/completions.jsonl")


def test_a_relative_base_path_is_refused() -> None:
    with pytest.raises(StoreError, match="must be absolute"):
        OutputStore(Path("outputs"))


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "/etc", ".hidden", "a\0b"])
def test_only_plain_names_are_jobs(name: str) -> None:
    with pytest.raises(StoreError, match="not the id of a job"):
        OutputStore(Path("/base")).job(name)


def test_statuses_of_a_store_that_is_not_there(tmp_path: Path) -> None:
    store = OutputStore(tmp_path / "nowhere")
    assert store.statuses([JobId("a"), JobId("b")]) == {"a": JobStatus.PENDING, "b": JobStatus.PENDING}
    assert store.succeeded([JobId("a")]) == frozenset()


def test_markers_decide_and_success_is_stronger(tmp_path: Path) -> None:
    store = OutputStore(tmp_path)
    for name, markers in {"done": ["SUCCESS"], "failed": ["FAIL"], "both": ["SUCCESS", "FAIL"], "begun": []}.items():
        folder = store.job(name).repx
        folder.mkdir(parents=True)
        for marker in markers:
            (folder / marker).touch()
    store.completions.write_text('{"id":"failed","s":"ok"}\n')
    jobs = [JobId(name) for name in ("done", "failed", "both", "begun", "unknown")]
    assert {job: str(status) for job, status in store.statuses(jobs).items()} == {
        "done": "succeeded",
        "failed": "failed",
        "both": "succeeded",
        "begun": "pending",
        "unknown": "pending",
    }
    assert store.succeeded(jobs) == {"done", "both"}
    assert store.status(JobId("failed")) is JobStatus.FAILED


def test_what_does_not_belong_to_a_store_does_not_keep_it_from_being_read(tmp_path: Path) -> None:
    store = OutputStore(tmp_path)
    done = JobId("a")
    for name in (done, "a folder of somebody", "-x"):
        (store.outputs / name / "repx").mkdir(parents=True)
    store.job(done).success.touch()
    (store.outputs / "loop").symlink_to("loop")
    (store.outputs / "dangling").symlink_to("nowhere")
    (store.outputs / "notes.txt").touch()
    assert store.statuses([done, JobId("loop")]) == {done: JobStatus.SUCCEEDED, "loop": JobStatus.PENDING}
    assert store.succeeded([JobId(f"b{number}") for number in range(100)] + [done]) == {done}
    assert store.reconcile([done]) == 1


def test_a_store_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("")
    with pytest.raises(StoreError, match=r"outputs: cannot list the folder: Not a directory"):
        OutputStore(tmp_path).statuses([JobId("a")])
