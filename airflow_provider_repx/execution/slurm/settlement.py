"""What became of jobs that have left the queue: their own record first, then what Slurm knows, and never a guess."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_repx.errors import SlurmError, SlurmUnknownStateError, TransportError
from airflow_provider_repx.execution.slurm.clock import Clock
from airflow_provider_repx.execution.slurm.concluding import ended_from_outside
from airflow_provider_repx.execution.slurm.elements import Element, End
from airflow_provider_repx.execution.slurm.job import Progress
from airflow_provider_repx.execution.slurm.parsing import EndedElement
from airflow_provider_repx.execution.slurm.queries import SlurmQueries
from airflow_provider_repx.execution.slurm.settings import SlurmSettings
from airflow_provider_repx.execution.slurm.states import Ending, explain_ending, is_live
from airflow_provider_repx.execution.slurm.target import Look, Question, TargetFiles

__all__ = ["Settlement"]

_CANCELLED_WHILE_PENDING = Ending("cancelled", "CANCELLED", "CANCELLED: it was cancelled in Slurm before it started")
_FORGOTTEN = Ending(
    "lost",
    "FORGOTTEN",
    "FORGOTTEN: it was pending when Slurm's controller went down, is not there any more since, and did not start."
    " Another try may succeed",
)
_MAY_LEAVE_A_LATE_RECORD = frozenset({"COMPLETED", "FAILED"})


class Settlement:
    """Settles elements in batches: one look at the store for all, one question to Slurm for what that leaves open."""

    def __init__(self, settings: SlurmSettings, queries: SlurmQueries, target: TargetFiles, clock: Clock) -> None:
        self._settings = settings
        self._queries = queries
        self._target = target
        self._clock = clock
        self.outage: float | None = None
        """When the controller last did not answer."""

    async def settle(self, elements: Sequence[Element]) -> bool:
        """End the watching of those whose end is known; true when there were any.

        Raises `StoreError`, `TransportError` and `SlurmError` when nothing could be asked: try again later.
        """
        looks = await self._target.look([self._question(element) for element in elements])
        hidden = await self._hidden(elements)
        undecided: list[tuple[Element, Look]] = []
        for element, look in zip(elements, looks, strict=True):
            if element in hidden and look.started and look.attempt_of(element.claim.token) is None:
                if not self._is_reported(element, look):
                    self._tell_hidden(element)
            elif not self._by_store(element, look) and element.gone is not None:
                undecided.append((element, look))
        if undecided:
            await self._by_slurm(undecided)
        return any(element.end.done() for element in elements)

    async def _hidden(self, elements: Sequence[Element]) -> set[Element]:
        """Elements of other users that Slurm does not show, so that to be missed in the queue means nothing."""
        user = (await self._target.user()).name
        foreign = {e for e in elements if not e.own and e.seen is None and e.claim.user not in ("", user)}
        return foreign if foreign and await self._queries.hides_jobs_of_others(user) else set()

    def _is_reported(self, element: Element, look: Look) -> bool:
        if look.claim is not None and look.claim.token == element.claim.token and look.claim_over:
            element.finish(End("over"))
        return element.end.done()

    def _tell_hidden(self, element: Element) -> None:
        """It has started, so it may run: only its own record, or its owner, can tell its end."""
        owner, mark = element.claim.user, self._target.start_of(element.claim)
        element.report(
            Progress(
                f"started by user {owner}, whose jobs Slurm does not show (PrivateData=jobs): waiting until its end is"
                f" written down. If {owner} says that array {element.claim.array} does not run any more, remove {mark}"
            )
        )

    def _question(self, element: Element) -> Question:
        return Question(element.root, element.job.inputs, self._target.start_of(element.claim))

    def _by_store(self, element: Element, look: Look) -> bool:
        attempt = look.attempt_of(element.claim.token)
        if attempt is not None and attempt.outcome == "succeeded":
            element.finish(End("recorded", attempt))
        elif attempt is not None:
            # Slurm may know why: memory, time, a cancellation.
            return False
        elif look.claim is not None and look.claim.token == element.claim.token and look.claim_over:
            element.finish(End("over"))
        elif look.claim is not None and look.claim.token != element.claim.token and element.gone is not None:
            element.finish(End("superseded"))
        return element.end.done()

    async def _by_slurm(self, undecided: Sequence[tuple[Element, Look]]) -> None:
        now = self._clock.now()
        try:
            endings = await self._queries.endings([element for element, _ in undecided])
        except (SlurmError, TransportError):
            # A failure with a record needs no more to be one.
            for element, look in undecided:
                attempt = look.attempt_of(element.claim.token)
                if attempt is not None and attempt.outcome == "failed":
                    element.finish(End("recorded", attempt))
            raise
        for element, look in undecided:
            self._decide(element, look, endings.get(element.key), now)

    def _decide(self, element: Element, look: Look, ended: EndedElement | None, now: float) -> None:
        settings = self._settings
        attempt = look.attempt_of(element.claim.token)
        waited = now - (element.gone if element.gone is not None else now)
        if ended is not None and is_live(ended.state):
            # The queue's answer was older than this one.
            plain = attempt is not None and attempt.outcome == "failed" and not ended_from_outside(attempt)
            if plain or (attempt is not None and waited >= settings.marker_grace):
                element.finish(End("recorded", attempt, slurm=ended))
            return
        if ended is None:
            self._without_slurm(element, look, now)
            return
        element.unknown = None
        ending = explain_ending(ended.state, ended.reason, ended.exit_code, ended.signal, started=bool(look.started))
        if attempt is not None:
            element.finish(End("recorded", attempt, ending, ended))
        elif ended.state in _MAY_LEAVE_A_LATE_RECORD and waited < settings.marker_grace:
            return
        elif ended.state == "COMPLETED":
            self._nobody_knows(element, look, now)
        elif waited > 0:
            element.finish(End("ended", None, ending, ended))

    def _without_slurm(self, element: Element, look: Look, now: float) -> None:
        """Decide about an element that neither the controller nor the accounting knows."""
        attempt = look.attempt_of(element.claim.token)
        waited = now - (element.gone if element.gone is not None else now)
        if attempt is not None:
            if attempt.outcome == "failed" or waited >= self._settings.marker_grace:
                element.finish(End("recorded", attempt))
        elif self._was_cancelled_while_pending(element, look, waited):
            forgotten = not element.cancelled and self.outage is not None and self.outage > (element.seen or 0.0)
            element.finish(End("ended", None, _FORGOTTEN if forgotten else _CANCELLED_WHILE_PENDING))
        else:
            self._nobody_knows(element, look, now)

    def _was_cancelled_while_pending(self, element: Element, look: Look, waited: float) -> bool:
        """Of an element that is cancelled while it is pending the controller keeps nothing, unlike of any other one.

        So that is what became of it if it was pending a moment ago, and has no mark of a start. The moment has to be
        shorter than the controller's memory of ended jobs.
        """
        if look.started or element.state not in ("", "PENDING"):
            return False
        if element.cancelled:
            return True
        seen, gone = element.seen, element.gone
        recent = seen is not None and gone is not None and gone - seen < self._queries.memory
        return recent and waited >= self._settings.marker_grace

    def _nobody_knows(self, element: Element, look: Look, now: float) -> None:
        if element.unknown is None:
            element.unknown = now
            element.report(
                Progress(
                    "not in the queue any more, and neither its record nor Slurm tells what became of it: waiting",
                    element.slurm_id,
                    element.state,
                )
            )
            return
        if not element.own:
            element.finish(End("absent"))
        elif now - element.unknown >= self._settings.unknown_deadline:
            what = "it had started" if look.started else "nothing shows that it ever started"
            element.fail(
                SlurmUnknownStateError(
                    f"{element.job.name}: Slurm job {element.slurm_id or element.claim.array} is not in the queue any"
                    " more, neither the controller nor the accounting knows it, and it left no record in"
                    f" {element.root} within {self._settings.unknown_deadline:.0f} s ({what}). It counts neither as"
                    " done nor as failed; run it again."
                )
            )
