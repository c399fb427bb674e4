"""One question to the queue per interval for all jobs that are waited for, whatever their number."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from airflow_provider_repx.errors import (
    CommandTimeoutError,
    SlurmError,
    SlurmNotFoundError,
    StoreError,
    TransportError,
)
from airflow_provider_repx.execution.slurm.clock import Clock
from airflow_provider_repx.execution.slurm.elements import Element
from airflow_provider_repx.execution.slurm.job import Progress
from airflow_provider_repx.execution.slurm.parsing import QueuedElement
from airflow_provider_repx.execution.slurm.queries import SlurmQueries
from airflow_provider_repx.execution.slurm.settings import SlurmSettings
from airflow_provider_repx.execution.slurm.settlement import Settlement
from airflow_provider_repx.execution.slurm.states import ENDED, LIVE, NEVER_STARTS
from airflow_provider_repx.execution.slurm.target import TargetFiles

__all__ = ["Watcher"]

_log = logging.getLogger(__name__)

_SLOWER = 1.5
_SHARE_OF_TIME = 4.0
"""A question that took long is not asked again before this many times as long has passed, or the longest interval."""

_RECENT_SECONDS = 1.0
"""How old an answer of the queue may be for who is about to submit."""


class Watcher:
    """Watches elements until they are over; starts when there are some, and rests when there are none."""

    def __init__(
        self, settings: SlurmSettings, queries: SlurmQueries, target: TargetFiles, settlement: Settlement, clock: Clock
    ) -> None:
        self._settings = settings
        self._queries = queries
        self._target = target
        self._settlement = settlement
        self._clock = clock
        self._elements: dict[Element, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._answers = asyncio.Condition()
        self._begun = 0
        self._answered = 0
        self._waiting = 0
        self._interval = settings.first_poll
        self._duration = 0.0
        self._unavailable_since: float | None = None
        self._asked_at: float | None = None
        self._asking: asyncio.Task[None] | None = None
        self.queue: Sequence[QueuedElement] = ()
        self.after_poll: Callable[[], Awaitable[None]] | None = None

    def add(self, element: Element) -> None:
        """Watch an element that the queue has to show from now on."""
        element.since = self._clock.now()
        self._elements[element] = None
        self.hurry()

    def hurry(self) -> None:
        """Ask soon: something is about to change."""
        self._interval = self._settings.first_poll
        self._hurry.set()
        self._wake()

    async def next_poll(self) -> None:
        """Wait until the queue has answered a question that is asked from now on."""
        wanted = self._begun + 1
        self._waiting += 1
        try:
            self._wake()
            async with self._answers:
                await self._answers.wait_for(lambda: self._answered >= wanted)
        finally:
            self._waiting -= 1

    async def recent_queue(self) -> None:
        """See to it that `queue` is from a moment ago; those who ask at the same time share one question.

        Raises `SlurmError`, `StoreError`, `TransportError` or `CommandTimeoutError`.
        """
        if self._asked_at is not None and self._clock.now() - self._asked_at < _RECENT_SECONDS:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        await asyncio.shield(self._asking)

    async def close(self) -> None:
        """Stop watching."""
        tasks = [task for task in (self._task, self._asking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while self._elements or self._waiting:
            self._begun += 1
            number = self._begun
            changed = False
            try:
                changed = await self._poll()
            except SlurmNotFoundError as error:
                for element in self._elements:
                    element.fail(error)
                self._forget_ended()
            except (SlurmError, TransportError, CommandTimeoutError, StoreError) as error:
                self._report_unavailable(error)
            except Exception as error:
                _log.exception("watching the queue failed")
                for element in self._elements:
                    element.fail(error)
                self._forget_ended()
                raise
            else:
                if self.after_poll is not None:
                    await self.after_poll()
                async with self._answers:
                    self._answered = number
                    self._answers.notify_all()
            shorter = max(self._settings.first_poll, self._interval / 2)
            longer = min(self._settings.last_poll, self._interval * _SLOWER)
            self._interval = shorter if changed else longer
            await self._pause(max(self._interval, min(self._settings.last_poll, _SHARE_OF_TIME * self._duration)))

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than the first interval when something new comes."""
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait({sleep, hurry}, return_when=asyncio.FIRST_COMPLETED)
            if not sleep.done():
                await self._clock.sleep(min(seconds, self._settings.first_poll))
        finally:
            sleep.cancel()
            hurry.cancel()
            self._hurry.clear()

    async def _poll(self) -> bool:
        """Ask once, tell what has changed, and settle what has left the queue. True when anything has changed."""
        asked = self._clock.now()
        await self._ask()
        if self._unavailable_since is not None:
            _log.info("Slurm answers again")
            self._unavailable_since = None
        present = {(queued.name, queued.index): queued for queued in self.queue}
        changed = False
        gone: list[Element] = []
        unwanted: list[Element] = []
        for element in [element for element in self._elements if not element.end.done()]:
            queued = present.get(element.key)
            if queued is not None:
                changed |= _update(element, queued)
                element.seen = asked
                element.gone = element.unknown = None
                if element.stopped and not element.cancelled:
                    unwanted.append(element)
                if queued.state == "COMPLETING":
                    # Its processes have ended or are being ended; its record may be there already.
                    gone.append(element)
            elif element.since is not None and element.since <= asked:
                if element.gone is None:
                    element.gone = asked
                gone.append(element)
        changed |= await self._cancel(unwanted)
        if gone:
            changed |= await self._settlement.settle(gone)
        self._forget_ended()
        return changed

    async def _ask(self) -> None:
        user = await self._target.user()
        users = {user.name, *(element.claim.user for element in self._elements if element.claim.user)}
        begin = self._clock.now()
        queue = await self._queries.queue(users)
        self._duration = self._clock.now() - begin
        # Of two questions at the same time the later one counts, whichever is answered first.
        if self._asked_at is None or begin >= self._asked_at:
            self.queue, self._asked_at = queue, begin

    async def _cancel(self, elements: Sequence[Element]) -> bool:
        """Cancel what was stopped before Slurm's number of it was known; true when there was anything."""
        if elements:
            await self._queries.cancel([element.slurm_id for element in elements])
        for element in elements:
            element.cancelled = True
        return bool(elements)

    def _forget_ended(self) -> None:
        self._elements = {element: None for element in self._elements if not element.end.done()}

    def _report_unavailable(self, error: Exception) -> None:
        self._settlement.outage = self._clock.now()
        if self._unavailable_since is None:
            self._unavailable_since = self._clock.now()
            _log.warning("waiting for Slurm to answer again: %s", error)
            for element in self._elements:
                element.report(Progress(f"Slurm does not answer, waiting: {error}", element.slurm_id, element.state))


def _update(element: Element, queued: QueuedElement) -> bool:
    """Take what the queue says; true, and reported, when it is something new."""
    element.slurm_id = queued.slurm_id
    if (element.state, element.node, element.reason) == (queued.state, queued.node, queued.reason):
        return False
    known = element.state
    element.state, element.node, element.reason = queued.state, queued.node, queued.reason
    element.report(_progress(queued))
    return known != queued.state


def _progress(queued: QueuedElement) -> Progress:
    state, reason = queued.state, "" if queued.reason == "None" else queued.reason
    stuck = state == "PENDING" and reason in NEVER_STARTS
    if state not in LIVE | ENDED:
        text = f"in state {state}, which this version does not know: waiting"
    elif state == "PENDING":
        text = f"pending: {reason}" if reason else "pending"
        text += f"; it will not start: {NEVER_STARTS[reason]}" if stuck else ""
    else:
        text = f"{state.lower()} on {queued.node}" if queued.node else state.lower()
    return Progress(text, queued.slurm_id, state, queued.node, reason, stuck)
