"""What a task of a planned stage tells its trigger: enough to find the lab, plan again, and run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from airflow_provider_repx.lab import LabReference
from airflow_provider_repx.plan import PlanOptions
from airflow_provider_repx.targets import Target

__all__ = ["StageRequest"]


class StageRequest(BaseModel):
    """One task of a run's DAG, whatever its map index.

    It travels in the serialized DAG and in Airflow's database, as text; it holds no job and no secret.

    Attributes:
        lab_name: What the lab is configured as.
        lab_path: The lab's real path, on the machines of Airflow.
        lab_id: Which lab it must be.
        run: The run of the lab.
        stage: The task id of the planned stage, or the group id of a scatter-gather stage.
        part: Which part of a scatter-gather stage the task runs.
        step: Which step, if that part is one.
        target: Where its jobs run.
        options: How the run is planned.
        gates: Tasks that must have succeeded before any job of the task may start, where Airflow does not see to it.
        sync_task: The task that ships the lab to the target; absent where the target sees the lab itself.
        retry_failed_jobs: Whether another try is of use to a job that exited with an error.
        retries: How often Airflow tries a task again, as far as the trigger has to know it.
        push: Whether the task's result becomes an XCom.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lab_name: str
    lab_path: Path
    lab_id: str
    run: str
    stage: str
    part: Literal["scatter", "step", "gather"] | None = None
    step: str | None = None
    target: Target
    options: PlanOptions
    gates: tuple[str, ...] = ()
    sync_task: str | None = None
    retry_failed_jobs: bool = False
    retries: int = 0
    push: bool = True

    @property
    def lab(self) -> LabReference:
        """The reference to the lab."""
        return LabReference(name=self.lab_name, path=self.lab_path, lab_id=self.lab_id)

    def of_run(self) -> StageRequest:
        """What all tasks of the run have in common: this request without what is about its own task."""
        return StageRequest(
            lab_name=self.lab_name,
            lab_path=self.lab_path,
            lab_id=self.lab_id,
            run=self.run,
            stage="",
            target=self.target,
            options=self.options,
        )

    def dump(self) -> str:
        """As text; the same request gives the same text."""
        return self.model_dump_json(exclude_defaults=True)

    @classmethod
    def load(cls, text: str) -> StageRequest:
        """The opposite of `dump`."""
        return cls.model_validate_json(text)
