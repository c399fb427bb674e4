"""Requests that arrive together are answered together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from airflow_provider_repx.execution.slurm.clock import Clock

__all__ = ["Batcher"]

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Batcher(Generic[Request, Answer]):
    """Collects requests until none has come for `window` seconds, at most for `longest`, and answers all by one call.

    `handle` gets the requests and returns as many answers; what it raises is raised to everybody who asked.
    """

    def __init__(
        self,
        handle: Callable[[Sequence[Request]], Awaitable[Sequence[Answer]]],
        *,
        window: float,
        longest: float,
        clock: Clock,
        largest: int = 1000,
    ) -> None:
        self._handle = handle
        self._window = window
        self._longest = longest
        self._clock = clock
        self._largest = largest
        self._waiting: list[tuple[Request, asyncio.Future[Answer]]] = []
        self._collecting: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def ask(self, request: Request) -> Answer:
        """The answer to one request; it stays asked when the caller is cancelled."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._collecting is None:
            self._collecting = asyncio.create_task(self._collect())
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [*self._answering, *([self._collecting] if self._collecting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _collect(self) -> None:
        begin = self._clock.now()
        known = 0
        while known < len(self._waiting) and self._clock.now() - begin < self._longest:
            known = len(self._waiting)
            await self._clock.sleep(self._window)
        batch, self._waiting, self._collecting = self._waiting, [], None
        for start in range(0, len(batch), self._largest):
            task = asyncio.create_task(self._answer(batch[start : start + self._largest]))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, batch: list[tuple[Request, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._handle([request for request, _ in batch])
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    if isinstance(error, Exception):
                        future.set_exception(error)
                        # Whoever asked may be gone.
                        future.exception()
                    else:
                        future.cancel()
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
