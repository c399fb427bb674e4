"""An output store on another machine, asked the same questions as one on this machine.

Each question is one command on the other machine, whatever the number of jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store.attempt import Attempt, parse_attempt
from airflow_provider_repx.execution.store.completion import Completion, parse_completions
from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.execution.store.listing import JobStatus
from airflow_provider_repx.execution.transport.protocol import Transport
from airflow_provider_repx.lab.models import JobId

__all__ = ["RemoteOutputStore"]

_TIMEOUT_SECONDS = 300.0


@cache
def _script() -> str:
    return (files("airflow_provider_repx.execution.store") / "remote.sh").read_text(encoding="utf-8")


def _states(answer: bytes) -> dict[str, str]:
    lines = (line.split(" ", 1) for line in answer.decode().splitlines())
    return {job: state for state, job in lines}


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
        wanted = list(job_ids)
        for job_id in wanted:
            self.job(job_id)
        if not wanted:
            return {}
        answer = self._ask("status", "".join(f"{job_id}\n" for job_id in wanted).encode())
        found = _states(answer)
        return {job_id: JobStatus(found.get(job_id, "pending")) for job_id in wanted}

    def succeeded(self, job_ids: Iterable[JobId]) -> frozenset[JobId]:
        """Those of the given jobs that are done."""
        return frozenset(job_id for job_id, status in self.statuses(job_ids).items() if status is JobStatus.SUCCEEDED)

    def attempts(self, job_ids: Iterable[JobId]) -> Mapping[JobId, Attempt]:
        """How the last attempt at each of the given jobs ended, where there is a record of it."""
        wanted = list(job_ids)
        for job_id in wanted:
            self.job(job_id)
        if not wanted:
            return {}
        answer = self._ask("attempts", "".join(f"{job_id}\n" for job_id in wanted).encode())
        lines = iter(answer.decode("utf-8", "replace").split("\n"))
        # In pairs; behind the last end of a line is nothing.
        found = ((JobId(job_id), parse_attempt(record)) for job_id, record in zip(lines, lines, strict=False))
        return {job_id: attempt for job_id, attempt in found if attempt is not None}

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
        for job_id, status in self.statuses(wanted).items():
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
                completed = await transport.run(
                    ["bash", "-c", _script(), "remote", question, str(self.outputs)],
                    stdin=stdin,
                    timeout=_TIMEOUT_SECONDS,
                )
            finally:
                await transport.close()
            if completed.exit_code:
                told = completed.stderr.decode("utf-8", "replace").strip() or f"exit code {completed.exit_code}"
                raise StoreError(f"{self.outputs} on {transport.description}: cannot {question}: {told}")
            return completed.stdout

        return asyncio.run(ask())
