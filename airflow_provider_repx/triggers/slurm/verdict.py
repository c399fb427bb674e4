"""What a Slurm task comes to, and how a trigger tells Airflow.

A task that started from the triggerer ends from there: successes and skips need no worker. A failure that another try
may cure is ended there too, since Airflow then honors `retries`. A failure for good is handed to a worker, because only
a worker can say that no retry is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from airflow_provider_repx.errors import JobError, JobLostError

__all__ = ["Verdict", "to_event"]


@dataclass(frozen=True)
class Verdict:
    """The end of a task.

    Attributes:
        status: As Airflow says it.
        text: Why it was skipped or failed, for the log.
        retry: Whether another try may end better.
        xcoms: What the task pushes, by key.

    """

    status: Literal["success", "skipped", "failed"]
    text: str = ""
    retry: bool = False
    xcoms: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_event(cls, event: Mapping[str, Any] | None) -> Verdict:
        """The opposite of `to_event`, on a worker."""
        if event is None:
            return cls("failed", "The trigger ended without an answer.", retry=True)
        return cls(**event)

    def conclude(self) -> Mapping[str, Any]:
        """The XComs of a success; otherwise raises what makes a worker end the task like this.

        Raises `AirflowSkipException`, `AirflowFailException` for a failure for good, and `JobLostError` for another.
        """
        if self.status == "skipped":
            raise AirflowSkipException(self.text)
        if self.status == "failed":
            if self.retry:
                raise JobLostError(self.text)
            raise AirflowFailException(self.text) from JobError(self.text)
        return self.xcoms


def to_event(verdict: Verdict, *, direct: bool, retries: int) -> TriggerEvent:
    """How to tell Airflow; `direct`: the task started from the triggerer, with as many `retries` at most."""
    if direct and verdict.status == "success":
        return TaskSuccessEvent(xcoms=dict(verdict.xcoms))
    if direct and verdict.status == "skipped":
        return TaskSkippedEvent()
    if direct and (verdict.retry or not retries):
        return TaskFailedEvent(xcoms=dict(verdict.xcoms))
    return TriggerEvent(
        {
            "status": verdict.status,
            "text": verdict.text,
            "retry": verdict.retry,
            "xcoms": dict(verdict.xcoms),
        }
    )
