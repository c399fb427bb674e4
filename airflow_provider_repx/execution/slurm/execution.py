"""One job from the first look to its outcome: reuse, wait for somebody else, or run.

The rules are those of a job on this machine (``execution/jobs/local.py``): a success counts for everybody, with `force`
only for the DAG run that made it; a failure counts for those who waited for it, and for the same try after a restart;
what was cancelled or lost counts for nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from airflow_provider_repx.errors import JobInputError, StoreError, TransportError
from airflow_provider_repx.execution.slurm.clock import Clock
from airflow_provider_repx.execution.slurm.concluding import (
    cancelled_outcome,
    conclude,
    last_lines,
    outcome_of,
    settled,
)
from airflow_provider_repx.execution.slurm.elements import Element, End
from airflow_provider_repx.execution.slurm.job import Progress, SlurmJob
from airflow_provider_repx.execution.slurm.launcher import Launch
from airflow_provider_repx.execution.slurm.outcome import SlurmOutcome
from airflow_provider_repx.execution.slurm.settings import SlurmSettings
from airflow_provider_repx.execution.slurm.target import Look, Question, Settled
from airflow_provider_repx.execution.store.attempt import Attempt
from airflow_provider_repx.execution.store.claimant import ClaimRecord
from airflow_provider_repx.execution.store.process_identity import ProcessIdentity

__all__ = ["Execution", "Services"]

_log = logging.getLogger(__name__)


class Services(Protocol):
    """What an execution needs of its cluster; each question is answered together with those of others."""

    settings: SlurmSettings
    clock: Clock

    async def look(self, question: Question) -> Look:
        """How a unit stands."""
        ...

    async def launch(self, launch: Launch) -> Element | None:
        """Claim a job and submit it; `None` where somebody else was faster."""
        ...

    async def release(self, element: Element) -> None:
        """Submit an element whose claim was taken over."""
        ...

    def watch(self, element: Element) -> None:
        """Wait for somebody else's element."""
        ...

    async def stop(self, element: Element) -> None:
        """End an element."""
        ...

    async def settle(self, settled: Settled) -> None:
        """Write down an end."""
        ...

    async def tail(self, log: tuple[Path, int]) -> str:
        """The end of a log, from an offset (bytes) on."""
        ...

    async def reclaim(self, folder: Path) -> bool:
        """Remove the claim of a process of the target that has ended; true when it is gone."""
        ...

    def runs(self, token: str) -> bool:
        """Whether a request of this process works under a claim."""
        ...


class Execution:
    """The state of one request."""

    def __init__(self, job: SlurmJob, services: Services) -> None:
        self.job = job
        self.listeners: list[Callable[[Progress], None]] = []
        self.element: Element | None = None
        self.last_token = ""
        self.waiters = 0
        self.stopped = asyncio.Event()
        self._launching = False
        self._services = services
        self._last: Progress | None = None
        self._awaited: set[str] = set()
        self._overtaken: set[str] = set()
        self._absent_since: dict[str, float] = {}

    @property
    def is_claimed(self) -> bool:
        """Whether it holds a claim, so that others wait for it, or is about to."""
        return self.element is not None or self._launching

    def listen(self, listener: Callable[[Progress], None]) -> None:
        """Report to somebody more, beginning with what is known."""
        self.listeners.append(listener)
        if self._last is not None:
            listener(self._last)

    def tell(self, progress: Progress) -> None:
        """Report what has become known, each thing once."""
        if progress == self._last:
            return
        self._last = progress
        for listener in list(self.listeners):
            _report(listener, progress, self.job.name)

    def take_note(self, token: str, *, overtaken: bool) -> None:
        """Another request of this process, whose claim had this token, has ended before this one began."""
        self._awaited.add(token)
        if overtaken:
            self._overtaken.add(token)

    async def run(self) -> SlurmOutcome:
        """Go through all of it; see `SlurmCluster.run`."""
        while not self.stopped.is_set():
            look = await self._services.look(self._question())
            known = self._known(look)
            if known is not None:
                return await self._reuse(known, look)
            if look.missing:
                raise JobInputError(
                    f"{self.job.name}: {look.missing} is not done, and it is needed. Run it first; its log is in"
                    f" {look.missing}/repx."
                )
            holder = look.claim
            takeover = False
            if holder is not None and not look.claim_over:
                takeover = await self._await_holder(holder)
                if not takeover:
                    continue
            outcome = await self._attempt(look, holder if takeover else None)
            if outcome is not None:
                return outcome
        return cancelled_outcome(self.job)

    def _question(self) -> Question:
        job = self.job
        return Question(job.paths.root, job.inputs, None, job.needs, job.made_from)

    def _known(self, look: Look) -> Attempt | None:
        """The attempt that answers the request, if one does."""
        attempt = look.attempt
        claimant = attempt.claim.claimant if attempt is not None and attempt.claim is not None else None
        own_run = claimant is not None and claimant.same_dag_run(self.job.claimant)
        if look.succeeded and not look.stale:
            if attempt is None or attempt.outcome != "succeeded":
                # The marker is the truth, whoever wrote it: RepX itself leaves no record.
                attempt, own_run = Attempt(token="", outcome="succeeded"), False
            return attempt if own_run or not self.job.force else None
        if attempt is None or attempt.outcome != "failed" or attempt.token in self._overtaken:
            return None
        is_last = look.claim is not None and look.claim.token == attempt.token
        same_try = claimant == self.job.claimant and bool(self.job.claimant.run_id)
        orphan = is_last and not look.reported and attempt.claim is not None and not _lives(attempt.claim)
        awaited = attempt.token in self._awaited
        if same_try or (own_run and (orphan or awaited)) or (awaited and not self.job.force):
            return attempt
        return None

    async def _reuse(self, attempt: Attempt, look: Look) -> SlurmOutcome:
        own = attempt.claim is not None and attempt.claim.claimant == self.job.claimant
        holder = str(attempt.claim) if attempt.claim is not None else "another tool"
        outcome = outcome_of(self.job, attempt, holder=None if own else holder)
        if look.claim is not None and look.claim.token == attempt.token and not look.reported:
            # Whoever ran it was killed before that was written to the completion log.
            await self._write(settled(self._foreign(look.claim), End("recorded", attempt), outcome))
        return await self._with_tail(outcome, attempt)

    async def _await_holder(self, holder: ClaimRecord) -> bool:
        """Wait while somebody else has the job. True when the claim turns out to be dead: then it is taken over."""
        self.tell(Progress(f"being run by {holder}; waiting for its outcome"))
        if holder.authority != "slurm":
            return await self._await_local(holder)
        element = self._foreign(holder)
        self._awaited.add(holder.token)
        if self._is_overtaken(holder):
            self._overtaken.add(holder.token)
            await self._services.stop(element)
        self._services.watch(element)
        end = await self._end_of(element)
        if end is None or end.kind in ("recorded", "over", "superseded"):
            return False
        if end.kind == "ended":
            # Its owner writes that down, if it lives; the record is the same.
            await self._write(settled(element, end, conclude(element, end)))
            return False
        if self._is_dead(holder):
            return True
        await self._wait(self._services.settings.last_poll)
        return False

    async def _await_local(self, holder: ClaimRecord) -> bool:
        if not await self._services.reclaim(self.job.paths.repx):
            self._awaited.add(holder.token)
            await self._wait(min(2.0, self._services.settings.last_poll))
        return False

    def _is_overtaken(self, holder: ClaimRecord) -> bool:
        """Whether it is an earlier try of the same task whose worker lives: that was cleared."""
        mine = self.job.claimant
        earlier = holder.claimant.same_task_instance(mine) and holder.claimant.try_number < mine.try_number
        return earlier and (_lives(holder) or not holder.process.same_kernel)

    def _is_dead(self, holder: ClaimRecord) -> bool:
        """Whether nobody will submit for this claim any more, though there is no trace of it in Slurm.

        To be wrong about that does no harm: what is submitted under a claim that was taken over runs nothing.
        """
        if holder.process == ProcessIdentity.current():
            return not self._services.runs(holder.token)
        if holder.process.same_kernel:
            return not holder.process.is_alive
        now = self._services.clock.now()
        since = self._absent_since.setdefault(holder.token, now)
        return now - since >= self._services.settings.unknown_deadline

    async def _attempt(self, look: Look, taken_over: ClaimRecord | None) -> SlurmOutcome | None:
        """Claim and run; `None` when somebody else was faster, so that all has to be looked at again."""
        file = "claim" if look.claim is None else f"claim.after-{look.claim.token}"
        usable = not self.job.force and not look.stale
        self.tell(Progress("waiting for other jobs to be submitted with"))
        self._launching = True
        try:
            element = await self._services.launch(Launch(self.job, self.tell, file, usable, taken_over is not None))
        finally:
            self._launching = False
        if element is None:
            return None
        self.element = element
        self.last_token = element.claim.token
        try:
            if taken_over is not None and await self._former_turned_up(element, taken_over):
                return None
            if self.stopped.is_set():
                await self._services.stop(element)
            end = await element.end
        finally:
            self.element = None
        if end.kind in ("superseded", "over", "absent"):
            return None
        outcome = conclude(element, end)
        await self._write(settled(element, end, outcome))
        return await self._with_tail(outcome, end.attempt)

    async def _former_turned_up(self, element: Element, former: ClaimRecord) -> bool:
        """Whether the element of a claim that was taken over is, or was, with Slurm after all.

        From now on it can not start any more, so one look at what has started decides.
        """
        other = self._foreign(former)
        self._services.watch(other)
        end = await self._end_of(other)
        if end is not None and end.kind == "recorded":
            await self._services.settle(Settled(element.root, element.claim.token))
            return True
        await self._services.release(element)
        return False

    def _foreign(self, claim: ClaimRecord) -> Element:
        """Somebody else's element, to be waited for."""

        def report(progress: Progress) -> None:
            self.tell(replace(progress, text=f"run by {claim}: {progress.text}"))

        end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        return Element(claim, self.job.paths.claim, self.job, own=False, report=report, end=end)

    async def _end_of(self, element: Element) -> End | None:
        """The end of somebody else's element; `None` when this request is stopped before."""
        stopped = asyncio.ensure_future(self.stopped.wait())
        both: set[asyncio.Future[Any]] = {element.end, stopped}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if not element.end.done():
            element.finish(End("dropped"))
            return None
        return element.end.result()

    async def _wait(self, seconds: float) -> None:
        sleep = asyncio.ensure_future(self._services.clock.sleep(seconds))
        stopped = asyncio.ensure_future(self.stopped.wait())
        try:
            await asyncio.wait({sleep, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            stopped.cancel()

    async def _write(self, what: Settled) -> None:
        """Write down an end. Where that fails the outcome stands all the same."""
        try:
            await self._services.settle(what)
        except (StoreError, TransportError) as error:
            _log.warning("%s: its outcome could not be written down: %s", self.job.name, error)

    async def _with_tail(self, outcome: SlurmOutcome, attempt: Attempt | None) -> SlurmOutcome:
        if outcome.status == "succeeded" or attempt is None:
            return outcome
        try:
            text = await self._services.tail((self.job.paths.stderr, attempt.stderr_offset))
        except (StoreError, TransportError):
            return outcome
        return replace(outcome, stderr_tail=last_lines(text))


def _report(listener: Callable[[Progress], None], progress: Progress, name: str) -> None:
    try:
        listener(progress)
    except Exception:  # noqa: BLE001 - what somebody does with a report must not harm the job
        _log.warning("a listener to the progress of %s failed", name, exc_info=True)


def _lives(claim: ClaimRecord) -> bool:
    return claim.process.same_kernel and claim.process.is_alive
