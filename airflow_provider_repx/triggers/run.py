"""Waiting, outside of any worker, for the jobs of another run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_repx.errors import RepxError, StoreError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.lab import JobId, LabReference, open_reference

__all__ = ["RunDoneTrigger", "unfinished_jobs"]


def unfinished_jobs(jobs: Collection[JobId], store: OutputStore) -> frozenset[JobId]:
    """Those of the jobs that are not done in a store."""
    return frozenset(jobs) - store.succeeded(jobs)


class RunDoneTrigger(BaseTrigger):
    """Fires when every job of a run is done in the output store, whoever ran it.

    :param lab_name: configured name of the lab
    :param lab_path: real path of the lab directory
    :param lab_id: id of the lab; another lab at that path ends the wait with an error
    :param run: the run whose jobs are awaited
    :param base_path: base path of the target, which holds the output store
    :param poll_interval: seconds between two looks at the store
    """

    def __init__(
        self, *, lab_name: str, lab_path: str, lab_id: str, run: str, base_path: str, poll_interval: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lab = LabReference(name=lab_name, path=Path(lab_path), lab_id=lab_id)
        self.repx_run = run
        self.store = OutputStore(Path(base_path))
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What another triggerer needs to go on waiting."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "lab_name": self.lab.name,
                "lab_path": str(self.lab.path),
                "lab_id": self.lab.lab_id,
                "run": self.repx_run,
                "base_path": str(self.store.base_path),
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the store until nothing is missing; log when something changed."""
        try:
            run = await asyncio.to_thread(lambda: open_reference(self.lab).run(self.repx_run))
            total = len(run.jobs)
            missing: Collection[JobId] = run.jobs
            shown = -1
            # What was done once stays done: only the rest is looked at again.
            while missing := await asyncio.to_thread(unfinished_jobs, missing, self.store):
                if len(missing) != shown:
                    shown = len(missing)
                    self.log.info("run %s: %d of %d jobs are done", run.name, total - shown, total)
                await asyncio.sleep(self.poll_interval)
        except RepxError as error:
            # A store that cannot be read now may be readable at the next try; a lab does not change.
            temporary = isinstance(error, StoreError)
            yield TriggerEvent({"status": "error", "message": str(error), "temporary": temporary})
        else:
            yield TriggerEvent({"status": "done", "jobs": total})
