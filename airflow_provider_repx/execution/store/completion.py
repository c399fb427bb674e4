"""The completion log, ``outputs/completions.jsonl``: what RepX's own tools believe about which jobs are done.

RepX (0.5) looks at the markers only while this log is missing or empty, so whoever settles a job appends a record
here, ``{"id":"<job>","s":"ok"|"fail"}`` on a line of its own; the last record of a job wins.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_provider_repx.execution.store.files import make_folder, store_error, write_all
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.execution.store.listing import existing_jobs
from airflow_provider_repx.lab.models import JobId

__all__ = ["Completion", "append_completions", "parse_completions", "read_completions", "reconcile"]


@dataclass(frozen=True)
class Completion:
    """One record: a job, and whether it is done."""

    job_id: JobId
    succeeded: bool

    def to_line(self) -> str:
        """The record as a line of the log, as RepX writes it."""
        return json.dumps({"id": self.job_id, "s": "ok" if self.succeeded else "fail"}, separators=(",", ":")) + "\n"


def parse_completions(content: bytes) -> dict[JobId, bool]:
    """What a log says of each job; the last record wins, and lines that are no record are skipped, as RepX does."""
    found: dict[JobId, bool] = {}
    for line in content.split(b"\n"):
        try:
            record = json.loads(line)
            job_id, state = record["id"], record["s"]
        except (ValueError, TypeError, KeyError):
            continue
        if isinstance(job_id, str) and state in ("ok", "fail"):
            found[JobId(job_id)] = state == "ok"
    return found


def read_completions(store: OutputStore) -> Mapping[JobId, bool]:
    """What the store's log says of each job; raises `StoreError`."""
    try:
        return parse_completions(store.completions.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise store_error("read the completion log", store.completions, error) from error


def append_completions(store: OutputStore, completions: Iterable[Completion]) -> None:
    """Append records in one write; raises `StoreError`.

    The first records of a log are preceded by one for every settled job of the store: from then on RepX would not look
    at the markers any more, and take all older jobs for not done.
    """
    batch = list(completions)
    if not batch:
        return
    with _locked(store):
        _append(store, batch)


def reconcile(store: OutputStore, job_ids: Iterable[JobId]) -> int:
    """Append what is missing for log and markers to agree on the given jobs; raises `StoreError`.

    Markers are the truth: a job that the log calls done and that has no marker ``SUCCESS`` gets the record ``fail``,
    since RepX would skip it otherwise. Returns how many records were appended; doing it again appends none.
    """
    wanted = list(dict.fromkeys(job_ids))
    # Where both agree nothing is written, so that a store that is read-only by now can still be reported on.
    if not wanted or not _missing(store, wanted):
        return 0
    with _locked(store):
        missing = _missing(store, wanted)
        if missing:
            _append(store, missing)
    return len(missing)


def _missing(store: OutputStore, job_ids: Iterable[JobId]) -> list[Completion]:
    """The records that bring the log in line with the markers of these jobs."""
    known = read_completions(store)
    existing = existing_jobs(store.outputs)
    missing = []
    for job_id in job_ids:
        marked = _marker(store.job(job_id)) if job_id in existing else None
        # A job that failed or was stopped needs a record only to say that it is not done, or how it ended.
        wanted_state = False if marked is None and known.get(job_id) else marked
        if wanted_state is not None and known.get(job_id) is not wanted_state:
            missing.append(Completion(job_id, wanted_state))
    return missing


def _marker(paths: JobPaths) -> bool | None:
    """True for the marker SUCCESS, False for FAIL, `None` without any."""
    if paths.success.exists():
        return True
    return False if paths.fail.exists() else None


@contextmanager
def _locked(store: OutputStore) -> Iterator[None]:
    """Exclude other writers of the log of this package; RepX itself appends without a lock, by single writes."""
    make_folder(store.locks)
    make_folder(store.outputs)
    path = store.locks / "completions.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise store_error("open the lock file", path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _append(store: OutputStore, completions: list[Completion]) -> None:
    try:
        descriptor = os.open(store.completions, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            if not size:
                completions = _all_settled(store, completions)
            # A crash in the middle of a write leaves a line without its end; a record must not be glued to it.
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            content = ("\n" if torn else "") + "".join(completion.to_line() for completion in completions)
            write_all(descriptor, content.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise store_error("append to the completion log", store.completions, error) from error


def _all_settled(store: OutputStore, completions: list[Completion]) -> list[Completion]:
    states = {JobId(name): _marker(store.job(name)) for name in sorted(existing_jobs(store.outputs)) if name[0] != "."}
    new = {completion.job_id for completion in completions}
    older = [Completion(job_id, state) for job_id, state in states.items() if state is not None and job_id not in new]
    return older + completions
