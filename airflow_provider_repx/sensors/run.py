"""Hard dependencies between runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from airflow_provider_repx.dag_runs import STARTED_KEY, warn_if_paused
from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.hooks.stores import store_of
from airflow_provider_repx.links import UpstreamRunLink
from airflow_provider_repx.operators.base import lab_note, require_same_lab
from airflow_provider_repx.sensors.upstream import Upstream, on_missing_of
from airflow_provider_repx.triggers.run import RunDoneTrigger, unfinished_jobs
from airflow_provider_repx.unfinished import describe_unfinished

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.lab import Lab
    from airflow_provider_repx.targets import Target

__all__ = ["RepxRunSensor"]

_UPSTREAM_KEY = "upstream_run_id"


class RepxRunSensor(ExternalTaskSensor):
    """Wait until every job of an upstream run is done in the output store, for this very lab.

    The data alone satisfies it: it does not matter which DAG run, or which tool, ran the jobs, nor when. While data is
    missing, the DAG runs of the upstream DAG decide what happens: one that is under way is waited for, and if it fails,
    this sensor fails at once and says what its run lacks. With none under way the DAG param `on_missing` decides. It
    waits in the triggerer and holds no worker, for as long as `timeout` allows (default: `[sensors] default_timeout`).

    :param lab: the lab that both runs belong to
    :param lab_name: what the lab is configured as
    :param run: the upstream run
    :param target: where its jobs run
    :param on_missing: what to do where the DAG run has no param `on_missing`: ``trigger``, ``wait`` or ``fail``
    :param store_poll_interval: seconds between two looks at the store
    """

    template_fields: list[str] = []  # noqa: RUF012 - Airflow's attribute
    shallow_copy_attrs: Sequence[str] = ("lab", "target")
    operator_extra_links = [UpstreamRunLink()]  # noqa: RUF012 - Airflow's attribute
    ui_color = "#e6e6fa"

    def __init__(
        self,
        *,
        lab: Lab,
        lab_name: str,
        run: str,
        target: Target,
        on_missing: str = "trigger",
        store_poll_interval: float = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(deferrable=True, **kwargs)
        self.lab = lab
        self.reference = lab.reference(lab_name)
        self.run_name = run
        self.target = target
        self.on_missing = on_missing
        self.store_poll_interval = store_poll_interval
        self.external_run_id: str | None = None

    @property
    def store(self) -> OutputStore:
        """The output store of the target."""
        return store_of(self.target)

    def poke(self, context: Context) -> bool:
        """Whether every job of the upstream run is done."""
        require_same_lab(self.reference, context)
        upstream = self.lab.run(self.run_name)
        total = len(upstream.jobs)
        missing = len(unfinished_jobs(upstream.jobs, self.store))
        self.log.info("run %s: %d of %d jobs are done", self.run_name, total - missing, total)
        return missing == 0

    def execute(self, context: Context) -> None:
        """Succeed at once, or see to it that somebody does the jobs, and wait in the triggerer."""
        if not self.poke(context):
            self._go_on(context, began=datetime.now(tz=timezone.utc), ended=())

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None, began: str | None = None) -> None:
        """Take the trigger's word, after comparing labs once more; where DAG runs ended without the data, go on."""
        require_same_lab(self.reference, context)
        event = event or {"status": "error", "message": "the trigger ended without an answer"}
        self.external_run_id = context["ti"].xcom_pull(task_ids=self.task_id, key=_UPSTREAM_KEY)
        if event.get("temporary"):
            raise StoreError(event["message"])
        if event.get("status") == "done":
            self.log.info("run %s: all %d jobs are done", self.run_name, event["jobs"])
            return
        if event.get("status") != "look":
            raise AirflowFailException(event["message"])
        if not self.poke(context):
            first = datetime.fromisoformat(began) if began else datetime.now(tz=timezone.utc)
            self._go_on(context, began=first, ended=event.get("watched") or ())

    def _go_on(self, context: Context, *, began: datetime, ended: Sequence[str]) -> None:
        note = lab_note(self.lab, self.reference.name)
        upstream = Upstream(self.external_dag_id, self.run_name, self.reference, note, context)
        found = upstream.active()
        watched = list(found.ours)
        if watched:
            self.log.info("Waiting for DAG run %s of %s.", ", ".join(watched), self.external_dag_id)
            warn_if_paused(self.external_dag_id)
        else:
            upstream.fail_if_failed(ended, lambda: describe_unfinished(self.lab, self.run_name, self.store))
            watched = upstream.none_under_way(on_missing_of(context, self.on_missing), ended)
        self.external_run_id = watched[0] if watched else None
        context["ti"].xcom_push(key=_UPSTREAM_KEY, value=self.external_run_id)
        if upstream.own_run_id in watched:
            started = {"dag_id": self.external_dag_id, "run_id": upstream.own_run_id}
            context["ti"].xcom_push(key=STARTED_KEY, value=started)
        UpstreamRunLink().publish(self, context)
        left = began + timedelta(seconds=self.timeout) - datetime.now(tz=timezone.utc)
        self.defer(
            trigger=RunDoneTrigger(
                lab_name=self.reference.name,
                lab_path=str(self.reference.path),
                lab_id=self.reference.lab_id,
                run=self.run_name,
                target=self.target.model_dump_json(exclude_defaults=True),
                poll_interval=self.store_poll_interval,
                dag_id=self.external_dag_id,
                watched=watched,
                ignored=found.others,
            ),
            method_name="execute_complete",
            kwargs={"began": began.isoformat()},
            timeout=max(left, timedelta(seconds=1)),
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Say what was waited for in vain, where Airflow says that a trigger timed out."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as error:
            raise AirflowSensorTimeout(
                f"The jobs of run {self.run_name!r} were not all done within {self.timeout:.0f} s. See what became of"
                f" DAG {self.external_dag_id}, then clear this task with everything downstream."
            ) from error
