"""The face of this package: one object per cluster, process and event loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from airflow_provider_repx.errors import SlurmError, SlurmUnknownStateError, TransportError
from airflow_provider_repx.execution.slurm.batching import Batcher
from airflow_provider_repx.execution.slurm.canceller import Canceller
from airflow_provider_repx.execution.slurm.clock import Clock, SystemClock
from airflow_provider_repx.execution.slurm.elements import Element, End
from airflow_provider_repx.execution.slurm.execution import Execution
from airflow_provider_repx.execution.slurm.job import JobKey, Progress, SlurmJob
from airflow_provider_repx.execution.slurm.launcher import Launch, Launcher
from airflow_provider_repx.execution.slurm.outcome import SlurmOutcome
from airflow_provider_repx.execution.slurm.queries import SlurmQueries
from airflow_provider_repx.execution.slurm.settings import SlurmSettings
from airflow_provider_repx.execution.slurm.settlement import Settlement
from airflow_provider_repx.execution.slurm.statistics import Statistics
from airflow_provider_repx.execution.slurm.submitter import Submitter
from airflow_provider_repx.execution.slurm.target import Look, Question, Settled, TargetFiles
from airflow_provider_repx.execution.slurm.watcher import Watcher
from airflow_provider_repx.execution.transport import Transport

__all__ = ["SlurmCluster", "get_cluster"]

_SHORT = 0.02
"""Seconds for what is asked by many at the very same moment anyway, since one answer has let them all go on."""

_PEAKS_WINDOW = 1.0
_PEAKS_QUESTIONS = 4
"""The accounting hears of the end of a job a second or two later."""


class SlurmCluster:
    """Runs jobs under Slurm, each once, whatever is killed, restarted, cleared or started twice.

    Belongs to the event loop that it is first used in.
    """

    def __init__(self, settings: SlurmSettings, transport: Transport, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.transport = transport
        self._counts: Counter[str] = Counter()
        self._target = TargetFiles(settings, transport, self._count)
        self._queries = SlurmQueries(settings, transport, self._count, self.clock)
        settlement = Settlement(settings, self._queries, self._target, self.clock)
        self._watcher = Watcher(settings, self._queries, self._target, settlement, self.clock)
        self._submitter = Submitter(self._queries, self._target, self._watcher, self.clock)
        self._watcher.after_poll = self._submitter.keep_to_pools
        self._canceller = Canceller(self._queries, self._target, self._watcher, self.clock)
        self._launcher = Launcher(settings, self._queries, self._target, self._submitter)
        self._executions: dict[JobKey, asyncio.Task[SlurmOutcome]] = {}
        self._states: dict[JobKey, Execution] = {}
        self._holders: dict[Path, JobKey] = {}
        self._looks: Batcher[Question, Look] = Batcher(
            self._target.look, window=settings.window, longest=settings.longest_window, clock=self.clock
        )
        self._launches: Batcher[Launch, Element | None] = _batcher(self._launcher.launch, self.clock)
        self._releases = _batcher(self._release_all, self.clock)
        self._settlements = _batcher(self._settle_all, self.clock)
        self._tails: Batcher[tuple[Path, int], str] = _batcher(self._target.tails, self.clock)
        self._peaks: Batcher[str, int | None] = _batcher(self._peak_memories, self.clock, window=_PEAKS_WINDOW)
        self._reclaims: Batcher[Path, bool] = _batcher(self._target.reclaim, self.clock)

    @property
    def statistics(self) -> Statistics:
        """How many processes were started on the target so far."""
        return Statistics(**self._counts)

    async def run(self, job: SlurmJob, progress: Callable[[Progress], None] | None = None) -> SlurmOutcome:
        """Run a job, or take the outcome of somebody who has run or is running it.

        A job that fails is an outcome, not an exception. Cancelling the awaiting coroutine cancels nothing in Slurm: a
        job that is claimed is submitted and watched all the same, and the same request finds it again.

        Raises:
            SlurmSubmissionError: Slurm refuses what the job asks for.
            SlurmUnknownStateError: nobody could say until the deadline what became of it.
            SlurmNotFoundError: the target has no Slurm.
            JobInputError: something that the job needs is not done.
            StoreError: the target's files cannot be read or written.
            TransportError: the target cannot be reached while the job is not claimed yet.

        """
        key = JobKey(job.claimant, job.paths)
        task = self._executions.get(key)
        if task is None or task.done():
            execution = Execution(job, self)
            self._states[key] = execution
            task = asyncio.create_task(self._in_turn(key, execution))
            self._executions[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        execution = self._states[key]
        if progress is not None:
            execution.listen(progress)
        execution.waiters += 1
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if execution.waiters == 1 and not execution.is_claimed:
                task.cancel()
            raise
        finally:
            execution.waiters -= 1
            if progress is not None and progress in execution.listeners:
                execution.listeners.remove(progress)

    async def cancel(self, keys: Iterable[JobKey]) -> None:
        """End exactly these tries at these jobs; what others run, or wait for, is left alone.

        Works also for what another process has submitted. Returns when Slurm was told; `run` then returns an outcome
        with the status `cancelled`. Raises `SlurmUnavailableError`, `SlurmError`, `StoreError` or `TransportError`.
        """
        wanted = list(dict.fromkeys(keys))
        unknown = [key for key in wanted if key not in self._states]
        waiting = []
        for key in wanted:
            execution = self._states.get(key)
            if execution is not None:
                execution.stopped.set()
                if execution.element is not None:
                    waiting.append(self.stop(execution.element))
        await asyncio.gather(*waiting, self._canceller.stop_claimed(unknown))

    async def end(self, keys: Iterable[JobKey]) -> None:
        """As `cancel`, and wait until they have ended, so that nothing of theirs runs beside what comes next.

        Raises `SlurmUnknownStateError` when that has not come about within `SlurmSettings.unknown_deadline`.
        """
        wanted = list(dict.fromkeys(keys))
        own: list[asyncio.Future[Any]] = [self._executions[key] for key in wanted if key in self._executions]
        await self.cancel(wanted)
        others = await self._canceller.watched([key for key in wanted if key not in self._states])
        waiting = {*own, *(element.end for element in others)}
        limit = self.settings.unknown_deadline
        try:
            _, left = await asyncio.wait(waiting, timeout=limit) if waiting else (None, None)
        finally:
            for element in others:
                element.finish(End("dropped"))
        if left:
            raise SlurmUnknownStateError(
                f"{len(left)} cancelled jobs had not ended after {limit:.0f} s, so nothing was started in their place."
                " Look at the queue: squeue."
            )

    async def peak_memory(self, slurm_id: str) -> int | None:
        """Bytes of resident memory that an ended job took at most; `None` where no accounting knows."""
        with suppress(SlurmError, TransportError):
            for _ in range(_PEAKS_QUESTIONS):
                known = await self._peaks.ask(slurm_id)
                if known is not None:
                    return known or None
        return None

    async def close(self) -> None:
        """Stop watching and submitting, and end the connection; nothing in Slurm is touched."""
        for task in self._executions.values():
            task.cancel()
        await asyncio.gather(*self._executions.values(), return_exceptions=True)
        await self._watcher.close()
        await self._submitter.close()
        batchers = (
            self._looks,
            self._releases,
            self._launches,
            self._settlements,
            self._tails,
            self._peaks,
            self._reclaims,
        )
        await asyncio.gather(*(batcher.close() for batcher in batchers), self._canceller.close(), self._target.close())
        await self.transport.close()

    async def look(self, question: Question) -> Look:
        """For executions: how a unit stands."""
        return await self._looks.ask(question)

    async def launch(self, launch: Launch) -> Element | None:
        """For executions: claim a job and submit it."""
        return await self._launches.ask(launch)

    async def release(self, element: Element) -> None:
        """For executions: submit an element whose claim was taken over."""
        await self._releases.ask(element)

    def watch(self, element: Element) -> None:
        """For executions: wait for somebody else's element."""
        self._watcher.add(element)

    async def stop(self, element: Element) -> None:
        """For executions: end an element, also one that the queue does not show yet."""
        await self._canceller.stop(element)

    async def settle(self, settled: Settled) -> None:
        """For executions: write down an end."""
        await self._settlements.ask(settled)

    async def tail(self, log: tuple[Path, int]) -> str:
        """For executions: the end of a log."""
        return await self._tails.ask(log)

    async def reclaim(self, folder: Path) -> bool:
        """For executions: remove a claim of a process of the target that has ended."""
        return await self._reclaims.ask(folder)

    def runs(self, token: str) -> bool:
        """For executions: whether a request of this object works under a claim."""
        elements = (execution.element for execution in self._states.values())
        return any(element is not None and element.claim.token == token for element in elements)

    async def _in_turn(self, key: JobKey, execution: Execution) -> SlurmOutcome:
        """Requests of this process for one unit come one after the other."""
        root = key.paths.root
        while (holder := self._holders.get(root)) is not None:
            mine, other = key.claimant, holder.claimant
            overtaken = other.same_task_instance(mine) and other.try_number < mine.try_number
            execution.tell(Progress(f"being run by {other}; waiting for its outcome"))
            if overtaken:
                await self.cancel([holder])
            task, state = self._executions[holder], self._states[holder]
            stopped = asyncio.ensure_future(execution.stopped.wait())
            try:
                await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopped.cancel()
            if execution.stopped.is_set():
                break
            if state.last_token:
                execution.take_note(state.last_token, overtaken=overtaken)
        if execution.stopped.is_set():
            return await execution.run()
        self._holders[root] = key
        try:
            return await execution.run()
        finally:
            del self._holders[root]

    def _forget(self, key: JobKey, task: asyncio.Task[SlurmOutcome]) -> None:
        if self._executions.get(key) is task:
            del self._executions[key]
            del self._states[key]
        if not task.cancelled():
            # Nobody may be waiting for it any more.
            task.exception()

    async def _release_all(self, elements: Sequence[Element]) -> Sequence[None]:
        self._launcher.release(elements)
        return [None] * len(elements)

    async def _settle_all(self, endings: Sequence[Settled]) -> Sequence[None]:
        await self._target.settle(endings)
        return [None] * len(endings)

    async def _peak_memories(self, slurm_ids: Sequence[str]) -> Sequence[int | None]:
        known = await self._queries.peak_memories(slurm_ids)
        return [known.get(slurm_id) for slurm_id in slurm_ids]

    def _count(self, command: str) -> None:
        self._counts[command] += 1


def _batcher(
    handle: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]], clock: Clock, window: float = _SHORT
) -> Batcher[Any, Any]:
    return Batcher(handle, window=window, longest=1.0, clock=clock)


_clusters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[SlurmSettings, str], SlurmCluster]] = (
    WeakKeyDictionary()
)


def get_cluster(settings: SlurmSettings, key: str, connect: Callable[[], Transport]) -> SlurmCluster:
    """The one cluster object of the running event loop for these settings and a key, such as a connection's id.

    `connect` makes its transport when there is none yet.
    """
    clusters = _clusters.setdefault(asyncio.get_running_loop(), {})
    found = clusters.get((settings, key))
    if found is None:
        found = clusters[settings, key] = SlurmCluster(settings, connect())
    return found
