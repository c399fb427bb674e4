from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store import Completion, OutputStore, append_completions, reconcile
from airflow_provider_repx.execution.store.completion import parse_completions, read_completions
from airflow_provider_repx.lab import JobId

pytestmark = pytest.mark.unit


def mark(store: OutputStore, job: str, marker: str | None) -> JobId:
    folder = store.job(job).repx
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("SUCCESS", "FAIL"):
        (folder / name).unlink(missing_ok=True)
    if marker:
        (folder / marker).touch()
    return JobId(job)


def test_records_look_like_repx_writes_them(tmp_path: Path) -> None:
    store = OutputStore(tmp_path)
    append_completions(store, [Completion(JobId("a"), succeeded=True), Completion(JobId("b"), succeeded=False)])
    assert store.completions.read_text() == '{"id":"a","s":"ok"}\n{"id":"b","s":"fail"}\n'


def test_nothing_to_append_makes_no_file(tmp_path: Path) -> None:
    append_completions(OutputStore(tmp_path), [])
    assert list(tmp_path.iterdir()) == []


def test_the_first_record_brings_those_of_older_jobs(tmp_path: Path) -> None:
    store = OutputStore(tmp_path)
    for job, marker in {"old": "SUCCESS", "bad": "FAIL", "begun": None, "new": "SUCCESS"}.items():
        mark(store, job, marker)
    append_completions(store, [Completion(JobId("new"), succeeded=True)])
    assert store.completions.read_text().splitlines() == [
        '{"id":"bad","s":"fail"}',
        '{"id":"old","s":"ok"}',
        '{"id":"new","s":"ok"}',
    ]


@pytest.mark.parametrize("torn", ['{"id":"x","s":"o', '{"id":"x","s":"ok"}', "\x00\x00"])
def test_a_torn_last_line_is_not_glued_to_the_next_record(tmp_path: Path, torn: str) -> None:
    store = OutputStore(tmp_path)
    store.outputs.mkdir()
    store.completions.write_text('{"id":"a","s":"ok"}\n' + torn)
    append_completions(store, [Completion(JobId("b"), succeeded=True)])
    found = read_completions(store)
    assert found["a"] is True
    assert found["b"] is True
    assert found.get("x") is (True if torn.endswith("}") else None)


def test_reconciling_makes_log_and_markers_agree_once(tmp_path: Path) -> None:
    store = OutputStore(tmp_path)
    append_completions(
        store,
        [
            Completion(JobId("log says fail"), succeeded=False),
            Completion(JobId("marker was removed"), succeeded=True),
            Completion(JobId("agrees"), succeeded=True),
            Completion(JobId("folder was removed"), succeeded=True),
        ],
    )
    jobs = [
        mark(store, "log says fail", "SUCCESS"),
        mark(store, "marker was removed", None),
        mark(store, "agrees", "SUCCESS"),
        mark(store, "not in the log", "FAIL"),
        mark(store, "never ended", None),
        JobId("folder was removed"),
        JobId("never seen"),
    ]
    assert reconcile(store, [*jobs, *jobs]) == 4
    assert reconcile(store, jobs) == 0
    assert read_completions(store) == {
        "log says fail": True,
        "marker was removed": False,
        "agrees": True,
        "folder was removed": False,
        "not in the log": False,
    }


def test_reconciling_nothing_touches_nothing(tmp_path: Path) -> None:
    assert reconcile(OutputStore(tmp_path / "nowhere"), []) == 0
    assert not (tmp_path / "nowhere").exists()


def test_reconciling_writes_nothing_where_log_and_markers_agree(tmp_path: Path) -> None:
    store = OutputStore(tmp_path)
    job = JobId("a")
    store.job(job).repx.mkdir(parents=True)
    store.job(job).success.touch()
    append_completions(store, [Completion(job, succeeded=True)])
    lock = store.locks / "completions.lock"
    lock.unlink()
    assert reconcile(store, [job]) == 0
    assert not lock.exists(), "a store may be read-only by now"


def test_many_writers_lose_no_record(tmp_path: Path) -> None:
    store = OutputStore(tmp_path)

    def write(writer: int) -> None:
        for number in range(20):
            append_completions(store, [Completion(JobId(f"{writer}-{number}"), succeeded=True)])

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.completions.read_text().splitlines()) == 100
    assert len(read_completions(store)) == 100


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    store = OutputStore(tmp_path)
    store.completions.mkdir(parents=True)
    with pytest.raises(StoreError, match=r"completions\.jsonl: cannot append to the completion log: Is a directory"):
        append_completions(store, [Completion(JobId("a"), succeeded=True)])


names = st.text(min_size=1, max_size=4)
records = st.lists(st.tuples(names, st.booleans()))
junk = st.one_of(
    st.text(max_size=10).filter(lambda text: "\n" not in text),
    st.builds(json.dumps, st.one_of(st.none(), st.integers(), st.lists(st.integers()), st.dictionaries(names, names))),
    st.builds(lambda name: json.dumps({"id": name, "s": "maybe"}), names),
)


@given(st.lists(st.one_of(st.tuples(names, st.booleans()), junk)))
def test_the_last_record_of_a_job_wins_whatever_stands_between(lines: list[tuple[str, bool] | str]) -> None:
    text = ""
    expected: dict[str, bool] = {}
    for line in lines:
        if isinstance(line, str):
            text += line + "\n"
        else:
            text += Completion(JobId(line[0]), line[1]).to_line()
            expected[line[0]] = line[1]
    assert parse_completions(text.encode("utf-8", "surrogatepass")) == expected


@given(records, st.integers(min_value=0))
def test_a_log_cut_off_anywhere_keeps_its_whole_lines(entries: list[tuple[str, bool]], cut: int) -> None:
    lines = [Completion(JobId(name), state).to_line() for name, state in entries]
    content = "".join(lines).encode()
    content = content[: cut % (len(content) + 1)]
    whole = content.count(b"\n")
    expected = dict(entries[:whole])
    found = parse_completions(content)
    if content.endswith(b"}"):
        name, state = entries[whole]
        expected[name] = state
    assert found == expected
