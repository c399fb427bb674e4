from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from airflow_provider_repx.execution.slurm.elements import Element, Submission, TaskArray
from airflow_provider_repx.execution.slurm.job import PoolShare
from airflow_provider_repx.execution.slurm.parsing import QueuedElement
from airflow_provider_repx.execution.slurm.pools import array_name, foreign_slots, narrower_throttles, room
from airflow_provider_repx.execution.slurm.refusals import classify_refusal
from airflow_provider_repx.execution.slurm.states import ENDED, LIVE, explain_ending, is_live, state_word

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("state", "reason", "code", "signal", "started", "status", "cause"),
    [
        ("TIMEOUT", "TimeLimit", 0, 15, True, "failed", "TIMEOUT"),
        ("OUT_OF_MEMORY", "OutOfMemory", 0, 125, True, "failed", "OUT_OF_MEMORY"),
        ("DEADLINE", "", 0, 0, False, "failed", "DEADLINE"),
        ("NODE_FAIL", "NodeDown", 0, 15, True, "lost", "NODE_FAIL"),
        ("PREEMPTED", "", 0, 0, True, "lost", "PREEMPTED"),
        ("BOOT_FAIL", "", 0, 0, False, "lost", "BOOT_FAIL"),
        ("REVOKED", "", 0, 0, False, "lost", "REVOKED"),
        ("CANCELLED", "", 0, 15, True, "cancelled", "CANCELLED"),
        ("CANCELLED", "DependencyNeverSatisfied", 0, 0, False, "failed", "DependencyNeverSatisfied"),
        ("FAILED", "JobLaunchFailure", 0, 53, False, "lost", "LAUNCH_FAILED"),
        ("FAILED", "JobLaunchFailure", 0, 9, True, "failed", "signal"),
        ("FAILED", "NonZeroExitCode", 70, 0, True, "lost", "NO_RECORD"),
        ("FAILED", "", 0, 0, True, "lost", "FAILED"),
    ],
)
def test_endings(state: str, reason: str, code: int, signal: int, started: bool, status: str, cause: str) -> None:
    ending = explain_ending(state, reason, code, signal, started=started)
    assert (ending.status, ending.cause) == (status, cause)
    assert ending.explanation


def test_an_unknown_state_is_waited_for() -> None:
    assert is_live("SOMETHING_NEW")
    assert is_live("")
    assert not LIVE & ENDED
    assert not any(is_live(state) for state in ENDED)


@pytest.mark.parametrize(
    ("text", "word"),
    [("CANCELLED by 1000", "CANCELLED"), ("CANCELLED+", "CANCELLED"), ("RUNNING", "RUNNING"), ("", ""), (" ", "")],
)
def test_words(text: str, word: str) -> None:
    assert state_word(text) == word


FAILED = "sbatch: error: Batch job submission failed: "


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates", "limit"),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", "limit"),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying.", "limit"),
        ("Unable to contact slurm controller (connect failure)", "unavailable"),
        ("Batch job submission failed: Socket timed out on send/recv operation", "unavailable"),
        ("sbatch: error: invalid partition specified: x", "request"),
        ("sbatch: error: Batch job submission failed: Invalid account or account/partition combination", "request"),
        (f"sbatch: error: invalid partition specified: munge\n{FAILED}Invalid partition name specified", "request"),
        (f"sbatch: error: QOSMaxCpuPerJobLimit\n{FAILED}Job violates policy (job submit limit, size)", "request"),
        (f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{FAILED}Job violates policy (job submit limit)", "limit"),
        (f"sbatch: error: Munge encode failed\n{FAILED}Protocol authentication error", "unavailable"),
        ("", "request"),
    ],
)
def test_refusals(message: str, kind: str) -> None:
    assert classify_refusal(message) == kind


def test_room_in_a_pool() -> None:
    share = PoolShare("pool", 10, 4)
    assert room(share, [], 0) == 2
    assert room(PoolShare("pool", 3, 4), [], 0) == 1
    assert room(share, [], 8) == 0
    submissions: list[Submission] = []
    assert room(PoolShare("pool", 10), submissions, 9) == 1


def test_arrays_of_others_are_known_by_name() -> None:
    name = array_name(PoolShare("pool", 10, 2))
    queue = [QueuedElement("5", index, "PENDING", "", name, "ann", "", 3 if index else None) for index in range(8)] + [
        QueuedElement("6", 0, "RUNNING", "", array_name(PoolShare("else", 10, 2)), "ann", "")
    ]
    assert foreign_slots("pool", queue, set()) == 3 * 2
    assert foreign_slots("pool", queue, {name}) == 0
    assert foreign_slots("nothing", queue, set()) == 0


def in_queue(array_id: str, name: str, count: int, throttle: int | None) -> list[QueuedElement]:
    return [QueuedElement(array_id, index, "PENDING", "", name, "ann", "", throttle) for index in range(count)]


def submitted(array_id: str, share: PoolShare, count: int, throttle: int | None) -> Submission:
    array = TaskArray(array_name(share), Path("/base"), share, dict, [])
    elements = [cast("Element", SimpleNamespace(end=SimpleNamespace(done=lambda: False))) for _ in range(count)]
    return Submission(array, elements, throttle, array_id)


@pytest.mark.parametrize(
    ("slots", "first", "second", "narrowed"),
    [
        (1, (100, 4), (100, 4), {"20": 1, "10": 3}),
        (1, (100, 2), (100, 3), {"20": 2}),
        (1, (100, 2), (100, 2), {}),
        (1, (2, None), (4, None), {"20": 2}),
        (1, (1, None), (4, None), {"20": 3}),
        (2, (100, 2), (100, 2), {"20": 1, "10": 1}),
        (8, (100, 1), (100, 1), {}),
    ],
)
def test_processes_that_have_filled_a_pool_twice_agree_on_who_gives_way(
    slots: int, first: tuple[int, int | None], second: tuple[int, int | None], narrowed: dict[str, int]
) -> None:
    """A pool of four slots, and two arrays: elements that are left, and throttles."""
    share = PoolShare("pool", 4, slots)
    arrays = {"10": submitted("10", share, *first), "20": submitted("20", share, *second)}
    queue = [
        line for name, known in arrays.items() for line in in_queue(name, known.array.name, known.live, known.throttle)
    ]
    queue += in_queue("30", array_name(PoolShare("another", 4, 1)), 100, None)
    changes = {
        changed.array_id: throttle
        for one in arrays.values()
        for changed, throttle in narrower_throttles(share, [one], queue)
    }
    assert changes == narrowed
