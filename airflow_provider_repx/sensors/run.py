"""Hard dependencies between runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.links import UpstreamRunLink
from airflow_provider_repx.operators.base import require_same_lab
from airflow_provider_repx.triggers.run import RunDoneTrigger, unfinished_jobs

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.lab import Lab
    from airflow_provider_repx.targets import Target

__all__ = ["RepxRunSensor"]


class RepxRunSensor(ExternalTaskSensor):
    """Wait until every job of an upstream run is done in the output store, for this very lab.

    The data alone satisfies it: it does not matter which DAG run, or which tool, ran the jobs, nor when. It waits in
    the triggerer and holds no worker, for as long as `timeout` allows (default: `[sensors] default_timeout`).

    :param lab: the lab that both runs belong to
    :param lab_name: what the lab is configured as
    :param run: the upstream run
    :param target: where its jobs run
    :param store_poll_interval: seconds between two looks at the store
    """

    template_fields: list[str] = []  # noqa: RUF012 - Airflow's attribute
    shallow_copy_attrs: Sequence[str] = ("lab", "target")
    operator_extra_links = [UpstreamRunLink()]  # noqa: RUF012 - Airflow's attribute
    ui_color = "#e6e6fa"

    def __init__(
        self, *, lab: Lab, lab_name: str, run: str, target: Target, store_poll_interval: float = 5, **kwargs: Any
    ) -> None:
        super().__init__(deferrable=True, **kwargs)
        self.lab = lab
        self.reference = lab.reference(lab_name)
        self.run_name = run
        self.target = target
        self.store_poll_interval = store_poll_interval

    def poke(self, context: Context) -> bool:
        """Whether every job of the upstream run is done."""
        require_same_lab(self.reference, context)
        upstream = self.lab.run(self.run_name)
        total = len(upstream.jobs)
        missing = len(unfinished_jobs(upstream.jobs, OutputStore(self.target.base_path)))
        self.log.info("run %s: %d of %d jobs are done", self.run_name, total - missing, total)
        return missing == 0

    def execute(self, context: Context) -> None:
        """Succeed at once, or go on waiting in the triggerer."""
        if self.poke(context):
            return
        self.log.info("Waiting for them, whoever runs them. Trigger %s if nobody does yet.", self.external_dag_id)
        self.defer(
            trigger=RunDoneTrigger(
                lab_name=self.reference.name,
                lab_path=str(self.reference.path),
                lab_id=self.reference.lab_id,
                run=self.run_name,
                base_path=str(self.target.base_path),
                poll_interval=self.store_poll_interval,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> None:
        """Take the trigger's word, after comparing labs once more."""
        require_same_lab(self.reference, context)
        event = event or {"status": "error", "message": "the trigger ended without an answer"}
        if event.get("temporary"):
            raise StoreError(event["message"])
        if event.get("status") != "done":
            raise AirflowFailException(event["message"])
        self.log.info("run %s: all %d jobs are done", self.run_name, event["jobs"])

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Say what was waited for in vain, where Airflow says that a trigger timed out."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as error:
            raise AirflowSensorTimeout(
                f"The jobs of run {self.run_name!r} were not all done within {self.timeout:.0f} s. See what became of"
                f" DAG {self.external_dag_id}, then clear this task with everything downstream."
            ) from error
