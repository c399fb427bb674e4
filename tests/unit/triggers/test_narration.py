"""Lines of triggers: written by a thread, in order, few, and all before the trigger ends."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_repx.triggers.slurm import narration as module
from airflow_provider_repx.triggers.slurm.narration import Narration

pytestmark = pytest.mark.unit

WHOSE: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="nobody's")


class Log:
    """Remembers lines, and whose they were."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()

    def info(self, text: str, *arguments: Any) -> None:
        self.gate.wait(20)
        self.lines.append((WHOSE.get(), text % arguments))

    def error(self, text: str, *arguments: Any) -> None:
        self.info(f"error: {text}", *arguments)


def test_what_is_told_within_a_moment_is_one_line_in_its_task_log() -> None:
    log = Log()

    async def scenario() -> None:
        WHOSE.set("mine")
        narration = Narration(log)
        # The cluster tells from tasks of its own.
        for text in ("pending", "running", "succeeded"):
            contextvars.Context().run(narration.tell, text)
        await narration.finish()

    asyncio.run(scenario())
    assert log.lines == [("mine", "pending\nrunning\nsucceeded")]


def test_what_is_said_at_once_comes_after_what_was_told_before() -> None:
    log = Log()

    async def scenario() -> None:
        narration = Narration(log)
        narration.tell("pending 100%")
        narration.say(log.error, "failed 100%")
        await narration.finish()

    asyncio.run(scenario())
    assert [text for _, text in log.lines] == ["pending 100%", "error: failed 100%"]


def test_it_is_told_soon_also_when_nothing_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GATHERING_SECONDS", 0.01)
    log = Log()

    async def scenario() -> None:
        narration = Narration(log)
        narration.tell("pending")
        await _until(lambda: bool(log.lines))
        narration.tell("running")
        await narration.finish()

    asyncio.run(scenario())
    assert [text for _, text in log.lines] == ["pending", "running"]


def test_how_far_a_job_had_come_is_not_told_once_it_is_over() -> None:
    log = Log()

    async def scenario() -> None:
        narration = Narration(log)
        for job in ("first", "second"):
            narration.tell(f"{job}: pending", job=job)
            narration.tell(f"{job}: running", job=job)
        narration.tell("of no job")
        narration.conclude("first: succeeded", job="first")
        await narration.finish()

    asyncio.run(scenario())
    assert [text for _, text in log.lines] == ["second: pending\nsecond: running\nof no job\nfirst: succeeded"]


def test_the_more_triggers_live_the_longer_their_lines_are_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_later", lambda seconds, _: waited.append(seconds))
        lone, others = Narration(Log()), []
        lone.tell("pending")
        for number in (100, 300, 1000):
            others += [Narration(Log()) for _ in range(number - len(others) - 1)]
            Narration(Log()).tell("pending")

    monkeypatch.setattr(module, "_live", module.WeakSet())
    asyncio.run(scenario())
    assert waited == pytest.approx([2, 10, 30, 60], abs=0.2)


def test_a_log_that_takes_no_line_keeps_nobody_else_from_working() -> None:
    log = Log()
    log.gate.clear()

    async def scenario() -> None:
        narrations = [Narration(log) for _ in range(100)]
        for narration in narrations:
            narration.say(log.info, "submitted")
        # The event loop still turns, so that whoever reads the log can be served by it.
        await asyncio.sleep(0)
        assert not log.lines
        log.gate.set()
        await asyncio.gather(*(narration.finish() for narration in narrations))

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert len(log.lines) == 100


async def _until(condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
