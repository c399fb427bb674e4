"""What the trigger of a user's own command decides. The cluster answers as told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent

from airflow_provider_repx.errors import CommandTimeoutError, SlurmUnknownStateError, UnreachableError
from airflow_provider_repx.execution.slurm import JobKey, Progress, SlurmJob, SlurmOutcome
from airflow_provider_repx.execution.slurm.states import explain_ending
from airflow_provider_repx.execution.slurm.target import Question
from airflow_provider_repx.execution.store import Claimant
from airflow_provider_repx.execution.transport import Completed, LocalTransport
from airflow_provider_repx.hooks.slurm_connection import SlurmConnection
from airflow_provider_repx.targets import Target
from airflow_provider_repx.triggers.slurm import (
    CommandRequest,
    SlurmCommandTrigger,
    base,
    command,
    files,
)

pytestmark = pytest.mark.unit


@dataclass
class Cluster:
    """Tells what it is asked for; the one job ends as `outcome` says."""

    outcome: dict[str, Any] = field(default_factory=lambda: {"status": "succeeded"})
    asked: list[tuple[str, int]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    peak: int | None = None
    done: tuple[str, ...] = ()

    async def end(self, keys: Iterable[JobKey]) -> None:
        self.asked += [("end", key.claimant.try_number) for key in keys]
        if self.errors:
            raise self.errors.pop()

    async def look(self, question: Question) -> Any:
        return SimpleNamespace(succeeded=question.root.name in self.done)

    async def cancel(self, keys: Iterable[JobKey]) -> None:
        self.asked += [("cancel", key.claimant.try_number) for key in keys]

    async def peak_memory(self, _: str) -> int | None:
        return self.peak

    async def run(self, job: SlurmJob, _: Callable[[Progress], None]) -> SlurmOutcome:
        self.asked.append(("run", job.claimant.try_number))
        return SlurmOutcome(job.name, reused=False, stdout=job.paths.stdout, stderr=job.paths.stderr, **self.outcome)


@dataclass(eq=False)
class Machine:
    """Where the cluster's commands run; answers every command with nothing."""

    description: str = "the login node"
    error: Exception | None = None

    async def run(self, _: list[str], **__: Any) -> Completed:
        if self.error is not None:
            raise self.error
        return Completed(0, b"", b"")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()

    async def transport_of(_: Target) -> Machine:
        return made

    monkeypatch.setattr(files, "transport_of", transport_of)
    monkeypatch.setattr(files, "_shipped", {})
    return made


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> Cluster:
    made = Cluster()

    async def cluster_of(_: Target) -> Cluster:
        return made

    async def connection(_: str) -> SlurmConnection:
        return SlurmConnection(base_path=Path("/scratch"))

    monkeypatch.setattr(command, "cluster_of", cluster_of)
    monkeypatch.setattr(command, "aread_connection", connection)
    monkeypatch.setattr(base, "_PATIENCE_SECONDS", 0.0)
    return made


def verdict(*, number: int = 1, **asked: Any) -> dict[str, Any]:
    trigger = SlurmCommandTrigger(
        request=CommandRequest(conn_id="cluster", **asked).dump(),
        script="true",
        claimant=SlurmCommandTrigger.dump_claimant(Claimant("dag", "manual", "task", try_number=number)),
    )

    async def first() -> Any:
        return await anext(trigger.run())

    event = asyncio.run(asyncio.wait_for(first(), 20))
    assert type(event) is TriggerEvent
    payload: dict[str, Any] = json.loads(json.dumps(event.payload))
    return payload


STATES = {
    "NODE_FAIL": True,
    "PREEMPTED": True,
    "BOOT_FAIL": True,
    "REVOKED": True,
    "FAILED": False,
    "OUT_OF_MEMORY": False,
    "TIMEOUT": False,
    "DEADLINE": False,
    "CANCELLED": False,
}


@pytest.mark.parametrize(("state", "again"), STATES.items(), ids=str)
def test_tries_are_for_what_the_cluster_did(cluster: Cluster, state: str, again: bool) -> None:
    ending = explain_ending(state, "", 3 if state == "FAILED" else 0, 0, started=True)
    cluster.outcome = {"status": ending.status, "cause": ending.cause, "explanation": ending.explanation}
    assert (verdict()["status"], verdict()["retry"]) == ("failed", again)
    # Unless it is asked for.
    assert verdict(retry_on=(ending.cause,))["retry"] or state == "CANCELLED"


def test_a_new_try_runs_when_the_earlier_ones_have_ended(cluster: Cluster) -> None:
    assert verdict(number=3)["status"] == "success"
    assert cluster.asked == [("end", 1), ("end", 2), ("run", 3)]


def test_what_has_succeeded_is_not_run_again_unless_the_task_was_cleared(cluster: Cluster) -> None:
    cluster.done = ("try-2",)
    assert verdict(number=4, adopt=True)["xcoms"]["return_value"]["folder"].endswith("/try-2")
    assert cluster.asked[-1] == ("run", 2)
    assert verdict(number=4)["xcoms"]["return_value"]["folder"].endswith("/try-4")
    cluster.done = ()
    assert verdict(number=4, adopt=True)["xcoms"]["return_value"]["folder"].endswith("/try-4")


def test_what_a_worker_has_handed_over_is_not_given_back_before_airflow_knows(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_HANDOVER_SECONDS", 0.3)
    begin = time.monotonic()
    assert verdict()["status"] == "success"
    assert time.monotonic() - begin >= 0.3
    assert cluster.asked == [("run", 1)]


@pytest.mark.parametrize("error", [UnreachableError("away"), SlurmUnknownStateError("still there")], ids=str)
def test_a_new_try_runs_nothing_while_an_earlier_one_may_go_on(cluster: Cluster, error: Exception) -> None:
    cluster.errors = [error]
    assert (verdict(number=2)["status"], cluster.asked) == ("failed", [("end", 1)])
    assert verdict(number=2)["status"] == "success"


def test_a_log_that_cannot_be_read_does_not_matter(
    cluster: Cluster, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def shipped(_: Target) -> None:
        return

    monkeypatch.setattr(command, "ship_command_runner", shipped)
    machine.error = CommandTimeoutError("slow")
    assert verdict()["status"] == "success"


def test_the_result_has_the_memory_that_the_accounting_knows(cluster: Cluster) -> None:
    assert verdict()["xcoms"]["return_value"]["max_rss"] is None
    cluster.peak = 2**20
    assert verdict()["xcoms"]["return_value"]["max_rss"] == 2**20


def test_the_ends_of_logs_are_told_apart_whatever_is_in_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def transport_of(_: Target) -> LocalTransport:
        return LocalTransport()

    monkeypatch.setattr(files, "transport_of", transport_of)
    logs = [tmp_path / "out", tmp_path / "none", tmp_path / "it's $err"]
    logs[0].write_bytes(b"1\n2\n3 \0 \377\n")
    logs[2].write_bytes(b"only\0line")
    there = Target(name="cluster", base_path=tmp_path, scheduler="slurm")
    assert asyncio.run(files.tails(there, logs, 2)) == [["2", "3  \ufffd"], [], ["onlyline"]]
