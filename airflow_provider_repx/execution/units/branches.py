"""The branches of a scatter-gather job: one per work item, each with the whole graph of steps.

What is done to their files is a bash script, so that it is the same on this machine and on a target that is reached
by other means: send `branches_command` there with `branches_input`, and read the answer with `unfinished_branches`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias, cast

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.execution.units.unit import Unit
from airflow_provider_repx.execution.units.work_items import WorkItem
from airflow_provider_repx.lab.graph import step_order, steps_of
from airflow_provider_repx.lab.models import Job, JobId

__all__ = [
    "UnfinishedBranch",
    "branches_command",
    "branches_input",
    "describe_unfinished",
    "rejection_command",
    "settle_branches",
    "unfinished_branches",
]

_TIMEOUT = 600.0
_SHOWN = 20
_TOLD_LINES = 5

_State: TypeAlias = Literal["failed", "pending"]


@dataclass(frozen=True)
class UnfinishedBranch:
    """A branch that is not done: its number, its first step that is not, and whether that has failed."""

    branch: int
    step: str
    state: _State


def settle_branches(
    store: OutputStore, job_id: JobId, job: Job, items: Sequence[WorkItem]
) -> tuple[UnfinishedBranch, ...]:
    """Give each branch its work item, in a store on this machine, and say which branches are not done.

    Where a branch had another item before, nothing of it counts as done any more. Raises `StoreError`.
    """
    command = branches_command(store.job(job_id), job)
    try:
        done = subprocess.run(command, input=branches_input(items), capture_output=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreError(f"{store.job(job_id).root}: the branches cannot be prepared: {error}") from error
    if done.returncode:
        said = "\n".join(done.stderr.decode("utf-8", "replace").splitlines()[-_TOLD_LINES:])
        raise StoreError(
            f"{store.job(job_id).root}: the branches cannot be prepared (exit code {done.returncode}). Check that this"
            f" user may write there, and that its file system is not full. Last words:\n{said}"
        )
    return unfinished_branches(done.stdout, job)


def branches_command(paths: JobPaths, job: Job) -> list[str]:
    """The command that gives each branch its work item and lists those that are not done; see the script.

    `paths` is the job's folder where the command runs.
    """
    command = ["bash", "-c", _script(), "branches", str(paths.root)]
    order = step_order(job)
    for name, step in ((name, steps_of(job)[name]) for name in order):
        command += [name, " ".join(str(order.index(needed)) for needed in step.deps)]
    return command


def branches_input(items: Sequence[WorkItem]) -> bytes:
    """What that command reads from its standard input."""
    return b"".join(item.content + b"\n" for item in items)


def rejection_command(paths: JobPaths) -> list[str]:
    """The command that makes a scatter count as failed whose work items are none, so that the next try runs it again.

    `paths` is the job's folder where the command runs. `run_job` needs no such thing: it looks at the items itself.
    """
    script = 'cd -- "$1" && rm -f scatter/repx/SUCCESS && : >scatter/repx/FAIL && : >repx/FAIL'
    return ["bash", "-c", script, "reject", str(paths.root)]


def unfinished_branches(answer: bytes, job: Job) -> tuple[UnfinishedBranch, ...]:
    """What that command has written to its standard output."""
    order = step_order(job)
    found = []
    for line in answer.decode("ascii").splitlines():
        branch, step, state = line.split(" ")
        found.append(UnfinishedBranch(int(branch), order[int(step)], cast("_State", state)))
    return tuple(found)


def describe_unfinished(
    job_id: JobId, store: OutputStore, unfinished: Sequence[UnfinishedBranch], branches: int
) -> str:
    """Which branches are not done, for people: those that failed first, with their logs."""
    ordered = sorted(unfinished, key=lambda found: (found.state != "failed", found.branch))
    lines = [f"{job_id}: {len(unfinished)} of {branches} branches are not done, so gather cannot run:"]
    for found in ordered[:_SHOWN]:
        text = f"    branch {found.branch}: step {found.step} {'failed' if found.state == 'failed' else 'was not run'}"
        if found.state == "failed":
            text += f"; log: {Unit(job_id, 'step', found.branch, found.step).paths(store).stderr}"
        lines.append(text)
    if len(ordered) > _SHOWN:
        rest = ordered[_SHOWN:]
        failed = sum(found.state == "failed" for found in rest)
        lines.append(f"    and {len(rest)} more, {failed} of them failed")
    return "\n".join(lines)


@cache
def _script() -> str:
    return (files("airflow_provider_repx.execution.units") / "branches.sh").read_text(encoding="utf-8")
