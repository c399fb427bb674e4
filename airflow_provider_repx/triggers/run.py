"""Waiting, outside of any worker, for the jobs of another run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_repx.errors import RepxError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.lab import LabReference, open_reference

__all__ = ["RunDoneTrigger", "unfinished_jobs"]


def unfinished_jobs(lab: LabReference, run: str, store: OutputStore) -> tuple[int, int]:
    """How many jobs of a run are not done in a store, and how many it has.

    Raises `LabError` when the lab is gone, broken, or another one by now.
    """
    jobs = open_reference(lab).run(run).jobs
    return len(jobs) - len(store.succeeded(jobs)), len(jobs)


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
        super().__init__()
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
        last = None
        while True:
            try:
                missing, total = await asyncio.to_thread(unfinished_jobs, self.lab, self.repx_run, self.store)
            except RepxError as error:
                yield TriggerEvent({"status": "error", "message": str(error)})
                return
            if missing == 0:
                yield TriggerEvent({"status": "done", "jobs": total})
                return
            if missing != last:
                self.log.info("run %s: %d of %d jobs are done", self.repx_run, total - missing, total)
                last = missing
            await asyncio.sleep(self.poll_interval)
