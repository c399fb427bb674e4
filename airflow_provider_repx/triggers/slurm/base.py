"""What every Slurm trigger does: ask, run, tell, and end exactly its own job when a user ends its task."""

from __future__ import annotations

import asyncio
import json
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, TypeVar

from airflow.sdk.configuration import conf
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_repx.claimants import claimant_of_instance
from airflow_provider_repx.errors import (
    CommandTimeoutError,
    HostKeyError,
    JobInputError,
    JobLostError,
    RepxError,
    SlurmUnavailableError,
    SlurmUnknownStateError,
    StoreError,
    TransportError,
    UnreachableError,
    WorkItemsError,
)
from airflow_provider_repx.execution.store import Claimant
from airflow_provider_repx.triggers.slurm.narration import Narration
from airflow_provider_repx.triggers.slurm.orphans import airflow_label
from airflow_provider_repx.triggers.slurm.questions import ask_task_state
from airflow_provider_repx.triggers.slurm.verdict import Verdict, to_event

__all__ = ["SlurmTrigger", "is_temporary"]

_TEMPORARY = (
    CommandTimeoutError,
    JobLostError,
    SlurmUnavailableError,
    SlurmUnknownStateError,
    StoreError,
    TransportError,
)
_LASTING = (HostKeyError, JobInputError, WorkItemsError)
_OUTAGES = (CommandTimeoutError, SlurmUnavailableError, UnreachableError)

_PATIENCE_SECONDS = 600.0
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 15.0

_HANDOVER_SECONDS = conf.getint("workers", "min_heartbeat_interval", fallback=5) + 1.5
"""How long a task stays with the triggerer at least that a worker has handed over.

Airflow's scheduler may hear of the end of the worker's process only so much later: whoever supervises it looks at its
sockets until then, if they were closed a moment before it was gone. If the task were back with the executor by that
time, that end would be taken for its own, and the task would be failed.
"""

_Result = TypeVar("_Result")


def is_temporary(error: RepxError) -> bool:
    """Whether another try may get around an error."""
    return isinstance(error, _TEMPORARY) and not isinstance(error, _LASTING)


class SlurmTrigger(BaseTrigger):
    """Runs jobs on Slurm and waits for them, without a worker.

    :param claimant: on whose behalf, as JSON; absent when the task starts from the triggerer: then it is this task
    """

    def __init__(self, *, claimant: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.given_claimant = claimant

    @property
    def starts_here(self) -> bool:
        """Whether the task started from the triggerer, not from a worker."""
        return self.given_claimant is None

    @property
    def claimant(self) -> Claimant:
        """Who this try of the task instance is."""
        if self.given_claimant is not None:
            return replace(Claimant(**json.loads(self.given_claimant)), label=airflow_label())
        return claimant_of_instance(self.task_instance, airflow_label())

    @staticmethod
    def dump_claimant(claimant: Claimant) -> str:
        """A claimant as this trigger's argument."""
        return json.dumps(asdict(claimant))

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """What makes another trigger like this one, besides the claimant."""

    @abstractmethod
    async def verdict(self) -> Verdict:
        """Do the task's work; raises `RepxError`."""

    @abstractmethod
    async def cancel(self) -> None:
        """End what this very try has on the cluster."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What another triggerer needs to go on."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {**self.arguments(), "claimant": self.given_claimant}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Work, and tell Airflow how it ended."""
        # In this very context, not in that of a task of its own.
        _ = self.narration
        begin = time.monotonic()
        try:
            verdict = await self.verdict()
        except RepxError as error:
            verdict = Verdict("failed", str(error), retry=is_temporary(error))
        except Exception as error:
            # Whatever it is, the task must hear of it: another try finds a job again that goes on.
            self.log.exception("The trigger failed")
            verdict = Verdict("failed", f"the trigger failed: {type(error).__name__}: {error}", retry=True)
        # Airflow passes nothing on that is no Unicode, such as a file's name in another encoding.
        verdict = replace(verdict, text=verdict.text.encode("utf-8", "backslashreplace").decode())
        if verdict.status == "failed":
            self.narration.say(self.log.error, verdict.text)
        elif verdict.status == "skipped":
            self.narration.say(self.log.warning, f"Skipped: {verdict.text}")
        await self.narration.finish()
        if not self.starts_here:
            await asyncio.sleep(max(0.0, begin + _HANDOVER_SECONDS - time.monotonic()))
        yield to_event(verdict, direct=self.starts_here, retries=self._retries())

    async def on_kill(self) -> None:
        """End the job, if it was really a user who ended the task.

        Airflow also calls this when another triggerer has taken the trigger over. The task is still deferred then, and
        its job goes on. When the task was cleared and has been deferred anew already, the job is the next try's to end.
        """
        state = await ask_task_state(self.claimant)
        if state == "deferred":
            self.narration.say(self.log.info, "The task is still deferred: its job goes on.")
        else:
            self.narration.say(self.log.info, f"The task is {state or 'cleared'} now: ending its job.")
            await self.cancel()
        await self.narration.finish()

    async def patiently(
        self, work: Callable[[], Awaitable[_Result]], *, given_up: Callable[[], bool] = lambda: False
    ) -> _Result:
        """Do something on the cluster; while that cannot be reached do it again, for ten minutes at most.

        Jobs go on meanwhile, so the task's tries are kept for what is the matter with them. `given_up` tells that
        nobody wants it any more. Raises what `work` raises.
        """
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + _PATIENCE_SECONDS, _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await work()
            except RepxError as error:
                if not isinstance(error, _OUTAGES) or given_up() or loop.time() + pause > end:
                    raise
                self.narration.say(self.log.warning, f"The cluster cannot be reached, trying again: {error}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    @cached_property
    def narration(self) -> Narration:
        """What this trigger writes into the task's log."""
        return Narration(self.log)

    def narrator(self, job: str, *, named: bool = False) -> Callable[[str], None]:
        """A function that tells how far a job has come, whoever calls it; `named` where there are several jobs."""
        prefix = f"{job}: " if named else ""

        def tell(text: str) -> None:
            self.narration.tell(f"{prefix}{text}", job=job)

        return tell

    def _retries(self) -> int:
        task = getattr(self.task_instance, "task", None)
        return int(getattr(task, "retries", None) or 0)
