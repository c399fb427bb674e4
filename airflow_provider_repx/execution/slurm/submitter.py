"""From claimed jobs to arrays in Slurm: within the cluster's limits and the pools' sizes, and once whatever breaks."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from airflow_provider_repx.errors import (
    CommandTimeoutError,
    SlurmError,
    SlurmSubmissionError,
    StoreError,
    TransportError,
)
from airflow_provider_repx.execution.slurm.clock import Clock
from airflow_provider_repx.execution.slurm.elements import Element, End, Submission, TaskArray
from airflow_provider_repx.execution.slurm.job import PoolShare, Progress
from airflow_provider_repx.execution.slurm.parsing import format_indices
from airflow_provider_repx.execution.slurm.pools import foreign_slots, narrower_throttles, room, wider_throttles
from airflow_provider_repx.execution.slurm.queries import SlurmQueries
from airflow_provider_repx.execution.slurm.refusals import classify_refusal
from airflow_provider_repx.execution.slurm.target import Question, Settled, Submitted, TargetFiles
from airflow_provider_repx.execution.slurm.watcher import Watcher

__all__ = ["Submitter"]

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


class Submitter:
    """Submits arrays, each by a task of its own, until all their elements are with Slurm or refused."""

    def __init__(self, queries: SlurmQueries, target: TargetFiles, watcher: Watcher, clock: Clock) -> None:
        self._queries = queries
        self._target = target
        self._watcher = watcher
        self._clock = clock
        self._acceptable: int | None = None
        # Of those with a share of a pool only: nothing else has to know of the others.
        self._submissions: dict[PoolShare, list[Submission]] = defaultdict(list)
        self._own_names: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, array: TaskArray) -> None:
        """Submit an array's elements by and by; each is told of its end, also that it was refused."""
        self._own_names.add(array.name)
        task = asyncio.create_task(self._submit(array))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is not submitted yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _submit(self, array: TaskArray) -> None:
        try:
            while waiting := await self._still_wanted(array):
                size = min(len(waiting), self._acceptable or len(waiting))
                throttle = await self._room(array, size)
                submission = Submission(array, waiting[:size], throttle)
                in_pool = [] if array.share is None else self._submissions[array.share]
                in_pool.append(submission)
                if not await self._hand_over(submission):
                    in_pool.remove(submission)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait have to hear of it
            await self._refuse(array, error)

    async def _still_wanted(self, array: TaskArray) -> list[Element]:
        """What has to be submitted yet; what was stopped in the meantime is not."""
        waiting = [element for element in array.waiting if not element.end.done()]
        stopped = [element for element in waiting if element.stopped]
        if stopped:
            await self._target.settle([Settled(element.root, element.claim.token) for element in stopped])
            for element in stopped:
                element.finish(End("dropped"))
        array.waiting = [element for element in waiting if not element.stopped]
        return array.waiting

    async def _room(self, array: TaskArray, size: int) -> int | None:
        """The throttle under which the array keeps to its pool; waits while there is no room at all."""
        share = array.share
        if share is None:
            return None
        told = False
        while True:
            # Where the queue cannot be asked, to submit fails as well, and tells more.
            with suppress(SlurmError, TransportError, CommandTimeoutError, StoreError):
                await self._watcher.recent_queue()
            foreign = foreign_slots(share.pool, self._watcher.queue, self._own_names)
            free = room(share, self._of_pool(share.pool), foreign)
            if free > 0:
                return None if free >= size else free
            if not told:
                self._tell(array.waiting, f"waiting for pool {share.pool}: all its {share.size} slots are taken")
                told = True
            await self._watcher.next_poll()

    def _of_pool(self, pool: str) -> list[Submission]:
        found = []
        for share, submissions in self._submissions.items():
            submissions[:] = [submission for submission in submissions if submission.live]
            if share.pool == pool:
                found += submissions
        return found

    async def keep_to_pools(self) -> None:
        """Let arrays run more elements at once where others of their pool have ended, fewer where it is too full."""
        shares = list(self._submissions)
        for share in {share.pool: share for share in shares}.values():
            await self._set_throttles(narrower_throttles(share, self._of_pool(share.pool), self._watcher.queue))
        for share in shares:
            foreign = foreign_slots(share.pool, self._watcher.queue, self._own_names)
            submissions = self._of_pool(share.pool)
            own = [submission for submission in submissions if submission.array.share == share]
            others = sum(submission.committed for submission in submissions if submission.array.share != share)
            await self._set_throttles(wider_throttles(share, own, foreign + others))

    async def _set_throttles(self, changes: Sequence[tuple[Submission, int]]) -> None:
        for submission, throttle in changes:
            with suppress(SlurmError, TransportError):
                await self._queries.set_throttle(submission.array_id, throttle)
                submission.throttle = throttle

    async def _hand_over(self, submission: Submission) -> bool:
        """Submit; false when the same elements have to be tried again."""
        array, elements = submission.array, submission.elements
        spec = format_indices(element.claim.index for element in elements)
        spec += f"%{submission.throttle}" if submission.throttle is not None else ""
        try:
            answer = await self._target.submit(array.name, spec, None if array.prepared else array.files())
        except (TransportError, CommandTimeoutError) as error:
            return await self._find_again(submission, str(error))
        array.prepared = True
        if answer.array_id:
            submission.array_id = answer.array_id
            self._acceptable = None if self._acceptable is None else self._acceptable * 2
            self._submitted(submission, elements)
            return True
        return await self._refused(submission, answer)

    def _submitted(self, submission: Submission, elements: Sequence[Element]) -> None:
        there = set(elements)
        submission.array.waiting = [element for element in submission.array.waiting if element not in there]
        for element in elements:
            if submission.array_id:
                element.slurm_id = f"{submission.array_id}_{element.claim.index}"
            element.report(
                Progress(f"submitted as Slurm job {element.slurm_id or element.claim.array}", element.slurm_id)
            )
            self._watcher.add(element)

    async def _refused(self, submission: Submission, answer: Submitted) -> bool:
        kind = classify_refusal(answer.message)
        if kind == "unavailable":
            return await self._find_again(submission, answer.message)
        if kind == "request":
            raise SlurmSubmissionError(
                f"sbatch refuses it (exit code {answer.exit_code}): {answer.message}. The array's script is"
                f" {submission.array.folder / 'batch'}."
            )
        if len(submission.elements) > 1:
            self._acceptable = max(1, len(submission.elements) // 2)
            return False
        self._tell(submission.array.waiting, f"held back, Slurm takes no more jobs for now: {answer.message}")
        await self._clock.sleep(_RETRY_SECONDS)
        return False

    async def _find_again(self, submission: Submission, message: str) -> bool:
        """Nobody said whether it was submitted: look for traces of it, and try the rest again.

        Should it turn up later all the same, the nodes' own mark of each start lets nothing run twice.
        """
        array = submission.array
        self._tell(array.waiting, f"submitting again as soon as Slurm answers: {message}")
        await self._clock.sleep(1.0)
        await self._watcher.next_poll()
        there = {queued.index: queued for queued in self._watcher.queue if queued.name == array.name}
        looks = await self._have_started(submission.elements)
        found = [
            element
            for element, started in zip(submission.elements, looks, strict=True)
            if element.claim.index in there or started
        ]
        if not found:
            return False
        submission.elements = found
        submission.array_id = next((queued.array_id for queued in there.values()), "")
        self._submitted(submission, found)
        return True

    async def _have_started(self, elements: Sequence[Element]) -> list[bool]:
        questions = [
            Question(element.root, element.job.inputs, self._target.start_of(element.claim)) for element in elements
        ]
        while True:
            with suppress(TransportError, CommandTimeoutError):
                return [bool(look.started) for look in await self._target.look(questions)]
            await self._clock.sleep(_RETRY_SECONDS)

    async def _refuse(self, array: TaskArray, error: Exception) -> None:
        waiting = [element for element in array.waiting if not element.end.done()]
        _log.warning("array %s cannot be submitted: %s", array.name, error)
        # Those who wait have to hear of the refusal, whatever else fails; who comes later finds the claims dead.
        with suppress(Exception):
            await self._target.settle([Settled(element.root, element.claim.token) for element in waiting])
        for element in waiting:
            element.fail(
                type(error)(f"{element.job.name}: {error}") if isinstance(error, SlurmSubmissionError) else error
            )

    def _tell(self, elements: Sequence[Element], text: str) -> None:
        for element in elements:
            element.report(Progress(text, element.slurm_id, element.state))
