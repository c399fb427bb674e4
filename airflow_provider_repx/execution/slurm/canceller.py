"""Ending jobs in Slurm: by their numbers, and by their claims where another process has submitted them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from airflow_provider_repx.errors import SlurmError, TransportError
from airflow_provider_repx.execution.slurm.batching import Batcher
from airflow_provider_repx.execution.slurm.clock import Clock
from airflow_provider_repx.execution.slurm.elements import Element, watched_element
from airflow_provider_repx.execution.slurm.job import JobKey
from airflow_provider_repx.execution.slurm.queries import SlurmQueries
from airflow_provider_repx.execution.slurm.target import Question, Settled, TargetFiles
from airflow_provider_repx.execution.slurm.watcher import Watcher
from airflow_provider_repx.execution.store.claimant import ClaimRecord

__all__ = ["Canceller"]

_WINDOW = 0.1
_LONGEST_WINDOW = 1.0


class Canceller:
    """Tells Slurm to end elements, those that come together by one `scancel`.

    Its methods raise `SlurmUnavailableError`, `SlurmError`, `StoreError` or `TransportError`.
    """

    def __init__(self, queries: SlurmQueries, target: TargetFiles, watcher: Watcher, clock: Clock) -> None:
        self._queries = queries
        self._target = target
        self._watcher = watcher
        self._batcher: Batcher[str, None] = Batcher(
            self._cancel_all, window=_WINDOW, longest=_LONGEST_WINDOW, clock=clock
        )

    async def stop(self, element: Element) -> None:
        """End an element that is watched here, also one that the queue does not show yet."""
        element.stopped = True
        if element.slurm_id:
            # At once, so that the watcher does not do the same.
            element.cancelled = True
            try:
                if not await self._number_is_anothers(element):
                    await self._batcher.ask(element.slurm_id)
            except (SlurmError, TransportError):
                element.cancelled = False
                raise
        self._watcher.hurry()

    async def _number_is_anothers(self, element: Element) -> bool:
        """Whether an element's number belongs to another array by now.

        A controller that has lost its state counts from the beginning again.
        """
        await self._watcher.recent_queue()
        names = {queued.name for queued in self._watcher.queue if queued.slurm_id == element.slurm_id}
        return bool(names) and element.claim.array not in names

    async def stop_claimed(self, keys: Sequence[JobKey]) -> None:
        """End what another process, or this one before a restart, has submitted for these tries."""
        claims = {(claim.array, claim.index): (key, claim) for key, claim in await self._held(keys)}
        if not claims:
            return
        # What was not submitted yet must not start any more.
        users = {claim.user for _, claim in claims.values()}
        queue = await self._queries.queue(users)
        present = {(queued.name, queued.index): queued.slurm_id for queued in queue}
        await self._target.settle(
            [Settled(key.paths.root, claim.token) for element, (key, claim) in claims.items() if element not in present]
        )
        found = [present[element] for element in claims if element in present]
        if found:
            await asyncio.gather(*(self._batcher.ask(slurm_id) for slurm_id in found))

    async def watched(self, keys: Sequence[JobKey]) -> list[Element]:
        """Elements of these tries that are not over, watched from now on; whoever asks has to finish them."""
        elements = [watched_element(claim, key.paths) for key, claim in await self._held(keys)]
        for element in elements:
            self._watcher.add(element)
        return elements

    async def close(self) -> None:
        """Give up what is under way."""
        await self._batcher.close()

    async def _held(self, keys: Sequence[JobKey]) -> list[tuple[JobKey, ClaimRecord]]:
        """The claims of tries that are not over."""
        if not keys:
            return []
        looks = await self._target.look([Question(key.paths.root, key.paths.inputs) for key in keys])
        return [
            (key, look.claim)
            for key, look in zip(keys, looks, strict=True)
            if look.claim is not None
            and look.claim.authority == "slurm"
            and look.claim.claimant == key.claimant
            and not look.claim_over
        ]

    async def _cancel_all(self, slurm_ids: Sequence[str]) -> Sequence[None]:
        await self._queries.cancel(list(dict.fromkeys(slurm_ids)))
        return [None] * len(slurm_ids)
