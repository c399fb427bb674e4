"""Waiting, outside of any worker, for the jobs of another run, or for the end of a DAG run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_repx.dag_runs import ACTIVE_STATES, count_dag_runs, dag_run_state
from airflow_provider_repx.errors import RepxError, StoreError, TransportError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.hooks.stores import astore_of
from airflow_provider_repx.lab import JobId, LabReference, open_reference
from airflow_provider_repx.targets import Target

__all__ = ["DagRunEndTrigger", "RunDoneTrigger", "unfinished_jobs"]

_REMOTE_INTERVAL = 30.0
"""Seconds between two looks at a store on another machine, at least: each look opens a connection."""


def unfinished_jobs(jobs: Collection[JobId], store: OutputStore) -> frozenset[JobId]:
    """Those of the jobs that are not done in a store."""
    return frozenset(jobs) - store.succeeded(jobs)


class RunDoneTrigger(BaseTrigger):
    """Fires when every job of a run is done in the output store, whoever ran it, or when the sensor should look again.

    The events are ``done``, ``error``, and ``look``: all DAG runs of `watched` have ended, or, where none is watched,
    the upstream DAG has more active DAG runs than `ignored`.

    :param lab_name: configured name of the lab
    :param lab_path: real path of the lab directory
    :param lab_id: id of the lab; another lab at that path ends the wait with an error
    :param run: the run whose jobs are awaited
    :param target: the target, which holds the output store, as JSON
    :param poll_interval: seconds between two looks at the store
    :param dag_id: the DAG of the awaited run; empty: do not look at its DAG runs
    :param watched: ids of the DAG runs that are expected to do the jobs
    :param ignored: how many active DAG runs are known to be about another lab
    """

    def __init__(  # noqa: PLR0913 - a trigger is made anew from plain values, in another process
        self,
        *,
        lab_name: str,
        lab_path: str,
        lab_id: str,
        run: str,
        target: str,
        poll_interval: float,
        dag_id: str = "",
        watched: Sequence[str] = (),
        ignored: int = 0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lab = LabReference(name=lab_name, path=Path(lab_path), lab_id=lab_id)
        self.repx_run = run
        self.target = Target.model_validate_json(target)
        self.poll_interval = poll_interval
        self.dag_id = dag_id
        self.watched = list(watched)
        self.ignored = ignored

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What another triggerer needs to go on waiting."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "lab_name": self.lab.name,
                "lab_path": str(self.lab.path),
                "lab_id": self.lab.lab_id,
                "run": self.repx_run,
                "target": self.target.model_dump_json(exclude_defaults=True),
                "poll_interval": self.poll_interval,
                "dag_id": self.dag_id,
                "watched": self.watched,
                "ignored": self.ignored,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the store until nothing is missing; log when something changed."""
        try:
            run = await asyncio.to_thread(lambda: open_reference(self.lab).run(self.repx_run))
            store = await astore_of(self.target)
            interval = max(self.poll_interval, _REMOTE_INTERVAL) if self.target.is_remote else self.poll_interval
            total = len(run.jobs)
            missing: Collection[JobId] = run.jobs
            shown = -1
            while True:
                # A worker has looked just now. And an event that comes before Airflow has taken note of the end of the
                # worker's process makes it take the task for lost.
                await asyncio.sleep(interval)
                # Asked before the look at the store: whatever a DAG run did before it ended is then found there.
                look_again = await self._should_look_again()
                # What was done once stays done: only the rest is looked at again.
                missing = await asyncio.to_thread(unfinished_jobs, missing, store)
                if not missing:
                    yield TriggerEvent({"status": "done", "jobs": total})
                    return
                if len(missing) != shown:
                    shown = len(missing)
                    self.log.info("run %s: %d of %d jobs are done", run.name, total - shown, total)
                if look_again:
                    yield TriggerEvent({"status": "look", "watched": self.watched})
                    return
        except RepxError as error:
            # A store that cannot be read now may be readable at the next try; a lab does not change.
            temporary = isinstance(error, (StoreError, TransportError))
            yield TriggerEvent({"status": "error", "message": str(error), "temporary": temporary})

    async def _should_look_again(self) -> bool:
        if not self.dag_id:
            return False
        try:
            active = await count_dag_runs(self.dag_id, states=ACTIVE_STATES, run_ids=self.watched)
        except AirflowRuntimeError as error:
            # Airflow's database may be busy; the data is what counts, and the next look may go better.
            self.log.warning("DAG runs of %s could not be counted: %s", self.dag_id, error)
            return False
        if self.watched:
            return active == 0
        if active > self.ignored:
            return True
        self.ignored = active
        return False


class DagRunEndTrigger(BaseTrigger):
    """Fires when a DAG run has ended, with its state, or with `None` where it was deleted.

    :param dag_id: its DAG
    :param run_id: its id
    :param poll_interval: seconds between two looks
    """

    def __init__(self, *, dag_id: str, run_id: str, poll_interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dag_id = dag_id
        self.dag_run_id = run_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What another triggerer needs to go on waiting."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"dag_id": self.dag_id, "run_id": self.dag_run_id, "poll_interval": self.poll_interval},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask for the state until it is final."""
        state: str | None = ACTIVE_STATES[0]
        while state in ACTIVE_STATES:
            await asyncio.sleep(self.poll_interval)
            try:
                state = await dag_run_state(self.dag_id, self.dag_run_id)
            except AirflowRuntimeError as error:
                self.log.warning("DAG run %s of %s could not be looked at: %s", self.dag_run_id, self.dag_id, error)
        yield TriggerEvent({"state": state})
