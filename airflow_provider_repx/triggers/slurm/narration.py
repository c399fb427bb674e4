"""What a trigger writes into its task's log, without ever keeping the triggerer from its work.

The triggerer's two processes talk to each other through sockets. The one that runs triggers blocks as a whole when the
other one does not read its log lines; and that one does not read them while it hands over new triggers, which nobody
takes then: with a few hundred triggers that log at the same time, both wait for each other forever. So lines are
written by a thread. And since a few lines at a time is all that the triggerer reads between its other work, what is to
be said within a moment becomes one line, without what has become stale meanwhile.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

__all__ = ["Narration"]

_GATHERING_SECONDS = 2.0
_LONGEST_SECONDS = 60.0
_SECONDS_FOR_EACH = 0.1
"""For each trigger that lives, so that all together write no more than ten lines a second while there are up to 600:
the triggerer reads 4 KiB at a time, and asks the database for news after each."""

_writer = ThreadPoolExecutor(1, "repx-log")
"""One thread for all, so that lines keep their order."""

_live: WeakSet[Narration] = WeakSet()


@dataclass(frozen=True)
class _News:
    """A line, and the job of whose progress it tells, if it does."""

    text: str
    job: str | None


class Narration:
    """The lines of one trigger. Made in the trigger's own context: Airflow tells by it whose log a line belongs to."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._context = contextvars.copy_context()
        self._untold: list[_News] = []
        self._timer: asyncio.TimerHandle | None = None
        self._last: Future[None] | None = None
        _live.add(self)

    def tell(self, text: str, *, job: str | None = None) -> None:
        """Say something soon, together with what follows within a moment; `job`: how far this one has come."""
        self._untold.append(_News(text, job))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_gathering_seconds(), self._tell_now)

    def conclude(self, text: str, *, job: str) -> None:
        """Say how a job has ended; how far it had come meanwhile nobody needs to know any more."""
        self._untold = [news for news in self._untold if news.job != job]
        self.tell(text)

    def say(self, write: Callable[..., None], text: str) -> None:
        """Say something now, by one of the log's methods."""
        self._tell_now()
        self._write(write, text)

    async def finish(self) -> None:
        """Wait until everything is written: what comes after the trigger's end belongs to no task."""
        self._tell_now()
        if self._last is not None:
            await asyncio.wrap_future(self._last)

    def _tell_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._untold:
            text, self._untold = "\n".join(news.text for news in self._untold), []
            self._write(self._log.info, text)

    def _write(self, write: Callable[..., None], text: str) -> None:
        # A context can be entered once at a time.
        self._last = _writer.submit(self._context.copy().run, write, "%s", text)


def _gathering_seconds() -> float:
    return min(max(_GATHERING_SECONDS, _SECONDS_FOR_EACH * len(_live)), _LONGEST_SECONDS)
