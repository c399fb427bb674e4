"""What goes by the clock, with a clock that lets time pass at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from airflow_provider_repx.errors import SlurmUnavailableError, SlurmUnknownStateError
from airflow_provider_repx.execution.slurm import SlurmSettings
from airflow_provider_repx.execution.slurm.batching import Batcher
from airflow_provider_repx.execution.slurm.elements import Element, watched_element
from airflow_provider_repx.execution.slurm.parsing import EndedElement, QueuedElement
from airflow_provider_repx.execution.slurm.queries import SlurmQueries
from airflow_provider_repx.execution.slurm.settlement import Settlement
from airflow_provider_repx.execution.slurm.target import Look, Question, TargetFiles, TargetUser
from airflow_provider_repx.execution.slurm.watcher import Watcher
from airflow_provider_repx.execution.store import Claimant, OutputStore
from airflow_provider_repx.execution.store.attempt import Attempt
from airflow_provider_repx.execution.store.claimant import ClaimRecord

pytestmark = pytest.mark.unit

SETTINGS = SlurmSettings(Path("/base"), first_poll=0.5, last_poll=15.0, marker_grace=30.0, unknown_deadline=600.0)


class FastClock:
    """Sleeping takes no time, and moves the time on."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


@dataclass
class Slurm:
    """A Slurm and a store that know what a test tells them; every question to the queue is noted with its time."""

    clock: FastClock
    queued: list[QueuedElement] = field(default_factory=list)
    ended: dict[tuple[str, int], EndedElement] = field(default_factory=dict)
    seen: Look = field(default_factory=lambda: Look(False, False, None, None, False, False, "", "4711"))
    private: bool = False
    down: bool = False
    asked: list[float] = field(default_factory=list)
    memory: float = 300.0

    async def user(self) -> TargetUser:
        return TargetUser("ann", "boot")

    def start_of(self, claim: ClaimRecord) -> Path:
        return Path("/base/repx/slurm") / claim.array / "started" / str(claim.index)

    async def look(self, questions: Sequence[Question]) -> list[Look]:
        return [self.seen] * len(questions)

    async def queue(self, _: object) -> list[QueuedElement]:
        self.asked.append(self.clock.now())
        if self.down:
            raise SlurmUnavailableError("down")
        return self.queued

    async def endings(self, _: object) -> dict[tuple[str, int], EndedElement]:
        return self.ended

    async def hides_jobs_of_others(self, _: str) -> bool:
        return self.private


class Scene:
    """A watcher, and one element that has run."""

    def __init__(self, *, own: bool = True, user: str = "ann") -> None:
        self.clock = FastClock()
        self.slurm = Slurm(self.clock)
        target, queries = cast("TargetFiles", self.slurm), cast("SlurmQueries", self.slurm)
        settlement = Settlement(SETTINGS, queries, target, self.clock)
        self.watcher = Watcher(SETTINGS, queries, target, settlement, self.clock)
        claim = ClaimRecord(Claimant(label="a test"), "slurm", array="repx-1", index=0, user=user)
        self.element = watched_element(claim, OutputStore(Path("/base")).job("simulate-1.1"))
        self.element.own = own
        self.told: list[str] = []
        self.element.report = lambda progress: self.told.append(progress.text)

    @property
    def running(self) -> QueuedElement:
        return QueuedElement("7", 0, "RUNNING", "cpu1", "repx-1", "ann", "None")

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(100_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came about")

    async def pass_time(self, seconds: float) -> None:
        end = self.clock.time + seconds
        await self.until(lambda: self.clock.time >= end or self.element.end.done())


def play(scenario: Callable[[Scene], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def run() -> None:
        scene = Scene(**options)
        try:
            await scenario(scene)
        finally:
            await scene.watcher.close()

    asyncio.run(run())


def record(element: Element, outcome: str) -> Attempt:
    return Attempt(token=element.claim.token, outcome=cast("Any", outcome), claim=element.claim, started=1.0, ended=2.0)


def test_the_interval_grows_while_nothing_changes_and_is_short_after_a_change() -> None:
    async def scenario(scene: Scene) -> None:
        scene.slurm.queued = [scene.running]
        scene.watcher.add(scene.element)
        await scene.until(lambda: len(scene.slurm.asked) >= 20)
        asked = scene.slurm.asked
        gaps = [later - earlier for earlier, later in pairwise(asked)]
        assert gaps[0] <= 1.0
        assert all(SETTINGS.first_poll <= gap <= SETTINGS.last_poll for gap in gaps)
        assert gaps[-3:] == [SETTINGS.last_poll] * 3
        assert gaps[2:] == sorted(gaps[2:])
        number = len(asked)
        scene.slurm.queued = [replace(scene.running, state="SUSPENDED")]
        await scene.until(lambda: len(asked) >= number + 2)
        assert asked[number + 1] - asked[number] == SETTINGS.last_poll / 2
        scene.watcher.hurry()
        number = len(asked)
        await scene.until(lambda: len(asked) >= number + 2)
        assert asked[number + 1] - asked[number] <= 2.0

    play(scenario)


def test_what_nobody_knows_is_an_error_at_the_deadline_and_not_before() -> None:
    async def scenario(scene: Scene) -> None:
        scene.slurm.queued = [scene.running]
        scene.watcher.add(scene.element)
        await scene.until(lambda: len(scene.slurm.asked) >= 3)
        scene.slurm.queued = []
        gone = scene.clock.now()
        await scene.pass_time(SETTINGS.unknown_deadline - 2)
        assert not scene.element.end.done()
        with pytest.raises(SlurmUnknownStateError, match="neither as done nor as failed"):
            await scene.element.end
        assert SETTINGS.unknown_deadline <= scene.clock.now() - gone <= SETTINGS.unknown_deadline + 60

    play(scenario)


@pytest.mark.parametrize(("state", "status"), [("COMPLETED", ""), ("FAILED", "failed")])
def test_a_late_record_is_waited_for_as_long_as_the_grace(state: str, status: str) -> None:
    async def scenario(scene: Scene) -> None:
        scene.slurm.queued = [scene.running]
        scene.watcher.add(scene.element)
        await scene.until(lambda: len(scene.slurm.asked) >= 3)
        scene.slurm.queued = []
        scene.slurm.ended = {scene.element.key: EndedElement("7", 0, "repx-1", state, exit_code=int(bool(status)))}
        await scene.pass_time(SETTINGS.marker_grace - 2)
        assert not scene.element.end.done()
        if status:
            await scene.pass_time(3 * SETTINGS.last_poll)
            ending = scene.element.end.result().ending
            assert ending is not None
            assert ending.status == status
        else:
            # A success without a record is none; with the record, however late, it is one.
            await scene.pass_time(5 * SETTINGS.marker_grace)
            assert not scene.element.end.done()
            scene.slurm.seen = replace(scene.slurm.seen, attempt=record(scene.element, "succeeded"))
            await scene.pass_time(2 * SETTINGS.last_poll)
            assert scene.element.end.result().kind == "recorded"

    play(scenario)


def test_a_controller_that_does_not_answer_is_waited_for_without_end() -> None:
    async def scenario(scene: Scene) -> None:
        scene.slurm.queued = [scene.running]
        scene.watcher.add(scene.element)
        await scene.until(lambda: len(scene.slurm.asked) >= 3)
        scene.slurm.down, scene.slurm.queued = True, []
        await scene.pass_time(20 * SETTINGS.unknown_deadline)
        assert not scene.element.end.done()
        assert [text for text in scene.told if "does not answer" in text]

    play(scenario)


def test_a_started_job_that_slurm_hides_is_never_given_up() -> None:
    async def scenario(scene: Scene) -> None:
        scene.slurm.private = True
        scene.watcher.add(scene.element)
        await scene.pass_time(20 * SETTINGS.unknown_deadline)
        assert not scene.element.end.done()
        assert "started by user bob, whose jobs Slurm does not show" in scene.told[-1]
        scene.slurm.seen = replace(scene.slurm.seen, attempt=record(scene.element, "succeeded"))
        await scene.pass_time(2 * SETTINGS.last_poll)
        assert scene.element.end.result().kind == "recorded"

    play(scenario, own=False, user="bob")


@pytest.mark.parametrize("seen", [True, False], ids=["shown", "not started"])
def test_one_that_slurm_shows_or_that_never_started_can_be_given_up(seen: bool) -> None:
    async def scenario(scene: Scene) -> None:
        scene.slurm.private = not seen
        if not seen:
            scene.slurm.seen = replace(scene.slurm.seen, started="")
        scene.watcher.add(scene.element)
        assert (await scene.element.end).kind == "absent"

    play(scenario, own=False, user="bob")


def test_requests_are_collected_no_longer_than_the_longest_window() -> None:
    async def scenario() -> None:
        clock = FastClock()
        batches: list[int] = []

        async def answer(requests: Sequence[int]) -> Sequence[int]:
            batches.append(len(requests))
            return requests

        batcher: Batcher[int, int] = Batcher(answer, window=0.25, longest=2.0, clock=clock)
        begin = clock.now()
        asked: list[asyncio.Task[int]] = []
        while not batches:
            asked.append(asyncio.create_task(batcher.ask(len(asked))))
            await asyncio.sleep(0)
        assert 2.0 <= clock.now() - begin <= 2.25
        await asyncio.gather(*asked)
        await batcher.close()

    asyncio.run(scenario())


def test_who_is_about_to_submit_sees_a_queue_of_a_moment_ago_and_shares_the_question() -> None:
    async def scenario(scene: Scene) -> None:
        scene.slurm.queued = [scene.running]
        await asyncio.gather(*(scene.watcher.recent_queue() for _ in range(5)))
        assert (len(scene.slurm.asked), list(scene.watcher.queue)) == (1, [scene.running])
        await scene.watcher.recent_queue()
        assert len(scene.slurm.asked) == 1
        scene.clock.time += 5.0
        scene.slurm.queued = []
        await scene.watcher.recent_queue()
        assert (len(scene.slurm.asked), list(scene.watcher.queue)) == (2, [])
        scene.clock.time += 5.0
        scene.slurm.down = True
        with pytest.raises(SlurmUnavailableError):
            await scene.watcher.recent_queue()

    play(scenario)
