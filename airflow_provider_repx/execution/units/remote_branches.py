"""The branches of a scatter-gather job whose store lies behind a transport; `branches` is the same on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store.attempt import Attempt, parse_attempt
from airflow_provider_repx.execution.store.claimant import Claimant
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.execution.transport.protocol import Transport
from airflow_provider_repx.execution.units.branches import (
    UnfinishedBranch,
    branches_command,
    branches_input,
    rejection_command,
    unfinished_branches,
)
from airflow_provider_repx.execution.units.work_items import WorkItem, parse_work_items
from airflow_provider_repx.lab.models import Job, JobId

__all__ = ["Scattered", "look_at_scattered", "reject_work_items", "settle_remote_branches"]

_TIMEOUT_SECONDS = 600.0
_TOLD_LINES = 5
_LOOK = """
state() { if [[ -e $1/SUCCESS ]]; then echo done; elif [[ -e $1/FAIL ]]; then echo failed; else echo open; fi; }
cd -- "$1" 2>/dev/null || { echo open open none; exit 0; }
items=none
[[ -e scatter/out/work_items.json ]] && items=some
echo "$(state repx) $(state scatter/repx) $items"
[[ ! -e scatter/repx/attempt.json ]] || tr -d '\n' <scatter/repx/attempt.json
echo
[[ $items == none ]] || cat -- scatter/out/work_items.json
"""

_State: TypeAlias = Literal["done", "failed", "open"]


@dataclass(frozen=True)
class Scattered:
    """How far a scatter-gather job is.

    Attributes:
        job_id: The job.
        paths: Where it lies on the target.
        gather: How far its gather is, and with it the whole job.
        scatter: How far its scatter is.
        content: The content of its work items' file, if there is one.
        attempt: The last attempt at its scatter, if any is known.

    """

    job_id: JobId
    paths: JobPaths
    gather: _State
    scatter: _State
    content: bytes | None
    attempt: Attempt | None = None

    def has_scattered(self, claimant: Claimant, *, forced: bool) -> bool:
        """Whether scatter is done, as far as this claimant is concerned: a forced job's by the same DAG run."""
        if self.scatter != "done" or not forced:
            return self.scatter == "done"
        claim = self.attempt.claim if self.attempt is not None else None
        return claim is not None and claim.claimant.same_dag_run(claimant)

    def items(self) -> tuple[WorkItem, ...]:
        """The work items; raises `WorkItemsError` that names the file when they are none."""
        return parse_work_items(self.content, self.paths.work_items)


async def look_at_scattered(transport: Transport, store: OutputStore, job_id: JobId) -> Scattered:
    """Look at one job; raises `StoreError` or `TransportError`."""
    paths = store.job(job_id)
    command = ["bash", "-c", _LOOK, "look", str(paths.root)]
    answer = await _run(transport, command, b"", f"{paths.work_items}: the work items cannot be read")
    line, _, rest = answer.partition(b"\n")
    attempt, _, content = rest.partition(b"\n")
    gather, scatter, items = line.decode("ascii").split(" ")
    return Scattered(
        job_id,
        paths,
        cast("_State", gather),
        cast("_State", scatter),
        content if items == "some" else None,
        parse_attempt(attempt.decode("utf-8", "replace")),
    )


async def settle_remote_branches(
    transport: Transport, store: OutputStore, job_id: JobId, job: Job, items: Sequence[WorkItem]
) -> tuple[UnfinishedBranch, ...]:
    """As `settle_branches`; raises `StoreError` or `TransportError`."""
    paths = store.job(job_id)
    about = f"{paths.root}: the branches cannot be prepared"
    return unfinished_branches(await _run(transport, branches_command(paths, job), branches_input(items), about), job)


async def reject_work_items(transport: Transport, store: OutputStore, job_id: JobId) -> None:
    """Let a scatter count as failed whose work items are none; raises `StoreError` or `TransportError`."""
    paths = store.job(job_id)
    await _run(transport, rejection_command(paths), b"", f"{paths.root}: scatter cannot be marked as failed")


async def _run(transport: Transport, command: Sequence[str], stdin: bytes, about: str) -> bytes:
    done = await transport.run(command, stdin=stdin, timeout=_TIMEOUT_SECONDS)
    if done.exit_code:
        said = "\n".join(done.stderr.decode("utf-8", "replace").splitlines()[-_TOLD_LINES:])
        raise StoreError(
            f"{about} on {transport.description} (exit code {done.exit_code}). Check that this user may read and write"
            f" there, and that its file system is not full. Last words:\n{said}"
        )
    return done.stdout
