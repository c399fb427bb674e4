"""What every Slurm trigger does: ask, run, tell, and end exactly its own job when a user ends its task."""

from __future__ import annotations

import contextvars
import json
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_repx.errors import (
    HostKeyError,
    JobInputError,
    JobLostError,
    RepxError,
    SlurmUnavailableError,
    SlurmUnknownStateError,
    StoreError,
    TransportError,
)
from airflow_provider_repx.execution.store import Claimant
from airflow_provider_repx.triggers.slurm.orphans import airflow_label
from airflow_provider_repx.triggers.slurm.questions import ask_task_state
from airflow_provider_repx.triggers.slurm.verdict import Verdict, to_event

__all__ = ["SlurmTrigger", "claimant_of_instance", "is_temporary"]

_TEMPORARY = (JobLostError, SlurmUnavailableError, SlurmUnknownStateError, StoreError, TransportError)
_LASTING = (HostKeyError, JobInputError)


def is_temporary(error: RepxError) -> bool:
    """Whether another try may get around an error."""
    return isinstance(error, _TEMPORARY) and not isinstance(error, _LASTING)


def claimant_of_instance(instance: Any) -> Claimant:
    """Who a try of a task instance is, for claims and logs."""
    return Claimant(
        dag_id=instance.dag_id,
        run_id=instance.run_id,
        task_id=instance.task_id,
        map_index=-1 if instance.map_index is None else instance.map_index,
        try_number=instance.try_number,
        label=airflow_label(),
    )


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
        return claimant_of_instance(self.task_instance)

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
        try:
            verdict = await self.verdict()
        except RepxError as error:
            verdict = Verdict("failed", str(error), retry=is_temporary(error))
        if verdict.status == "failed":
            self.log.error("%s", verdict.text)
        elif verdict.status == "skipped":
            self.log.warning("Skipped: %s", verdict.text)
        yield to_event(verdict, direct=self.starts_here, retries=self._retries())

    async def on_kill(self) -> None:
        """End the job, if it was really a user who ended the task.

        Airflow also calls this when another triggerer has taken the trigger over. The task is still deferred then, and
        its job goes on. When the task was cleared and has been deferred anew already, the job is the next try's to end.
        """
        state = await ask_task_state(self.claimant)
        if state == "deferred":
            self.log.info("The task is still deferred: its job goes on.")
            return
        self.log.info("The task is %s now: ending its job.", state or "cleared")
        await self.cancel()

    def narrator(self, about: str = "") -> Callable[[str], None]:
        """A function that writes into this task's log, whoever calls it; `about` tells jobs from each other."""
        # Airflow tells by context variables whose log a line belongs to, and the cluster calls from a task of its own.
        context = contextvars.copy_context()
        prefix = f"{about}: " if about else ""

        def tell(text: str) -> None:
            context.run(self.log.info, "%s%s", prefix, text)

        return tell

    def _retries(self) -> int:
        task = getattr(self.task_instance, "task", None)
        return int(getattr(task, "retries", None) or 0)
