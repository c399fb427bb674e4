"""An output store on another machine, asked the same questions as one on this machine.

Each question is one command on the other machine, whatever the number of jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store.attempt import Attempt, parse_attempt
from airflow_provider_repx.execution.store.claimant import ClaimRecord
from airflow_provider_repx.execution.store.completion import Completion, parse_completions
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.execution.store.listing import JobStatus
from airflow_provider_repx.execution.transport.protocol import Transport
from airflow_provider_repx.lab.models import JobId

__all__ = ["RemoteOutputStore"]

_TIMEOUT_SECONDS = 300.0

_Asked = TypeVar("_Asked")


@cache
def _script() -> str:
    return (files("airflow_provider_repx.execution.store") / "remote.sh").read_text(encoding="utf-8")


def _states(answer: bytes) -> dict[str, str]:
    lines = (line.split(" ", 1) for line in answer.decode().splitlines())
    return {job: state for state, job in lines}


def _lines(texts: Iterable[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


@dataclass(frozen=True)
class RemoteOutputStore(OutputStore):
    """A store whose files another machine has; all paths are that machine's.

    Every method raises `TransportError` where that machine cannot be reached, and `StoreError` where the store cannot
    be used. They are for code that is not asynchronous: each call opens a connection of its own.

    Attributes:
        connect: Makes the way to that machine; it is closed after each question.

    """

    connect: Callable[[], Transport]

    def status(self, job_id: JobId) -> JobStatus:
        """How far one job is."""
        return self.statuses([job_id])[job_id]

    def statuses(self, job_ids: Iterable[JobId]) -> Mapping[JobId, JobStatus]:
        """How far many jobs are, in the order that they are given."""
        return self._statuses("status", job_ids)

    def succeeded(self, job_ids: Iterable[JobId]) -> frozenset[JobId]:
        """Those of the given jobs that are done."""
        return frozenset(job_id for job_id, status in self.statuses(job_ids).items() if status is JobStatus.SUCCEEDED)

    def attempts(self, job_ids: Iterable[JobId]) -> Mapping[JobId, Attempt]:
        """How the last attempt at each of the given jobs ended, where there is a record of it."""
        wanted = list(job_ids)
        for job_id in wanted:
            self.job(job_id)
        return self._attempts({job_id: job_id for job_id in wanted})

    def folder_statuses(self, folders: Iterable[JobPaths]) -> Mapping[JobPaths, JobStatus]:
        """How far simple jobs and parts of scatter-gather jobs are, each by what lies in its own folder."""
        names = self._names(folders)
        if not names:
            return {}
        found = _states(self._ask("folders", _lines(names.values())))
        return {folder: JobStatus(found.get(name, "pending")) for folder, name in names.items()}

    def folder_attempts(self, folders: Iterable[JobPaths]) -> Mapping[JobPaths, Attempt]:
        """How the last attempts at simple jobs and parts of scatter-gather jobs ended, where there are records."""
        return self._attempts(self._names(folders))

    def claims(self, folders: Iterable[JobPaths]) -> Mapping[JobPaths, ClaimRecord]:
        """Who is at work in these folders: their claims, as far as they are alive."""
        names = self._names(folders)
        if not names:
            return {}
        lines = iter(self._ask("claims", _lines(names.values())).decode("utf-8", "replace").split("\n"))
        told = dict(zip(lines, lines, strict=False))
        found = ((folder, ClaimRecord.parse(told[name])) for folder, name in names.items() if name in told)
        return {folder: record for folder, record in found if record is not None}

    def contents(self, files: Iterable[Path]) -> Mapping[Path, bytes]:
        """What some files of the store hold, without those that are not there."""
        wanted = {str(file.relative_to(self.outputs)): file for file in files}
        if not wanted:
            return {}
        answer = self._ask("contents", "".join(f"{name}\0" for name in wanted).encode("utf-8", "surrogateescape"))
        found = {}
        while answer:
            size, _, answer = answer.partition(b" ")
            name, _, answer = answer.partition(b"\0")
            file = wanted.get(name.decode("utf-8", "surrogateescape"))
            if file is None:
                raise StoreError(f"{self.outputs}: a file changed while it was read. Try again.")
            found[file] = answer[: int(size)]
            answer = answer[int(size) :]
        return found

    def command(self, question: str) -> Sequence[str]:
        """The command that answers a question where the store is; see ``remote.sh``."""
        return ["bash", "-c", _script(), "remote", question, str(self.outputs)]

    def _statuses(self, question: str, job_ids: Iterable[JobId]) -> Mapping[JobId, JobStatus]:
        wanted = list(job_ids)
        for job_id in wanted:
            self.job(job_id)
        if not wanted:
            return {}
        found = _states(self._ask(question, _lines(wanted)))
        return {job_id: JobStatus(found.get(job_id, "pending")) for job_id in wanted}

    def _attempts(self, names: Mapping[_Asked, str]) -> Mapping[_Asked, Attempt]:
        if not names:
            return {}
        answer = self._ask("attempts", _lines(names.values()))
        lines = iter(answer.decode("utf-8", "replace").split("\n"))
        # In pairs; behind the last end of a line is nothing.
        told = dict(zip(lines, lines, strict=False))
        found = ((asked, parse_attempt(told[name])) for asked, name in names.items() if name in told)
        return {asked: attempt for asked, attempt in found if attempt is not None}

    def _names(self, folders: Iterable[JobPaths]) -> Mapping[JobPaths, str]:
        return {folder: str(folder.root.relative_to(self.outputs)) for folder in folders}

    def reconcile(self, job_ids: Iterable[JobId]) -> int:
        """Append what is missing for the completion log and the markers to agree; as the function of this name."""
        wanted = list(dict.fromkeys(job_ids))
        if not wanted:
            return 0
        log = self._ask("log")
        known = parse_completions(log)
        marked = {JobStatus.SUCCEEDED: True, JobStatus.FAILED: False}
        missing = []
        if not log:
            # From its first record on RepX believes the log alone, so that has to speak of every job.
            settled = _states(self._ask("settled"))
            missing = [Completion(JobId(name), marked[JobStatus(state)]) for name, state in sorted(settled.items())]
            known = {completion.job_id: completion.succeeded for completion in missing}
        # A part that failed leaves neither marker nor record for its job.
        for job_id, status in self._statuses("folders", wanted).items():
            state = marked.get(status, False if known.get(job_id) else None)
            if state is not None and known.get(job_id) is not state:
                missing.append(Completion(job_id, state))
        if missing:
            self._ask("append", "".join(completion.to_line() for completion in missing).encode())
        return len(missing)

    def _ask(self, question: str, stdin: bytes = b"") -> bytes:
        async def ask() -> bytes:
            transport = self.connect()
            try:
                completed = await transport.run(self.command(question), stdin=stdin, timeout=_TIMEOUT_SECONDS)
            finally:
                await transport.close()
            if completed.exit_code:
                told = completed.stderr.decode("utf-8", "replace").strip() or f"exit code {completed.exit_code}"
                raise StoreError(f"{self.outputs} on {transport.description}: cannot {question}: {told}")
            return completed.stdout

        return asyncio.run(ask())
