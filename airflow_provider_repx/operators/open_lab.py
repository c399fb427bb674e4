"""The first task of a run's DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_repx.asked import require_asked_lab
from airflow_provider_repx.errors import LabChangedError
from airflow_provider_repx.execution.batches import done_jobs
from airflow_provider_repx.execution.jobs import ship_runner
from airflow_provider_repx.operators.base import LAB_ID_KEY, PLAN_KEY, RunTaskOperator, claimant_of, lab_note
from airflow_provider_repx.plan.instances import idle_instances
from airflow_provider_repx.plan.label_text import labels_of, packed_labels
from airflow_provider_repx.skipping import skip_task_instances

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["OpenLabOperator"]


class OpenLabOperator(RunTaskOperator):
    """Say which lab this DAG run is about, and see to it that its target can take jobs.

    Pushes the lab id as XCom `lab_id`, and the plan's fingerprint as `plan`, which later tasks compare with their own.
    Returns what the run holds and how much of it is done already. `pools`, `lab_note` and `point_labels` travel
    with the serialized DAG, so that the scheduler's listener can create the pools before the first job asks for a slot,
    note at each DAG run which lab it is about, and show parameters instead of map indices.

    Task instances whose jobs are all done, or not wanted, are skipped at once: a process for each, only to find that
    out, would take half a second.
    """

    ui_color = "#e8f0fb"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Lists: Airflow reads back a dictionary in this place only in part.
        self.pools = [[pool.name, pool.slots, pool.description] for pool in self.plan.pools if pool.slots is not None]
        self.lab_note = lab_note(self.lab, self.lab_name)

    @property
    def point_labels(self) -> str:
        """The labels of all map indices, packed; made when the DAG is serialized, not in every task's process."""
        return packed_labels(labels_of(self.plan))

    @classmethod
    def get_serialized_fields(cls) -> frozenset[str]:
        """Fields of the serialized task; `pools`, `lab_note` and `point_labels` beside Airflow's own."""
        fields: frozenset[str] = super().get_serialized_fields()  # type: ignore[no-untyped-call]
        return fields | {"pools", "lab_note", "point_labels"}

    def execute(self, context: Context) -> dict[str, Any]:
        """Open the lab and look at the store once."""
        lab = self.lab
        require_asked_lab(lab.reference(self.lab_name), context)
        self._require_scheduled_plan(context)
        asked = self.asked(context)
        wanted = asked.wanted
        if self.target.scheduler == "local":
            ship_runner(self.store)
        done = done_jobs(self.store, wanted, asked.forced, claimant_of(context))
        context["ti"].xcom_push(key=PLAN_KEY, value=self.plan.fingerprint)
        # Last of all: whoever finds it may rely on what was looked at before.
        context["ti"].xcom_push(key=LAB_ID_KEY, value=lab.lab_id)
        self.log.info("lab %s: %s (id %s, git %s)", self.lab_name, lab.path, lab.lab_id, lab.git_hash)
        self.log.info("run %s: %d jobs wanted, %d of them done already", self.plan.run, len(wanted), len(done))
        self.log.info("output store: %s", self.store.outputs)
        idle = idle_instances(self.plan, wanted - done)
        if idle:
            self.log.info("%d task instances have nothing to do: they are skipped", len(idle))
            skip_task_instances(idle)
        return {
            "lab": self.lab_name,
            "lab_id": lab.lab_id,
            "lab_path": str(lab.path),
            "git_hash": lab.git_hash,
            "jobs": len(wanted),
            "done": len(done),
        }

    def _require_scheduled_plan(self, context: Context) -> None:
        """Compare the task instances that Airflow made for this DAG run with the plan.

        A DAG run that is triggered right after a rebuild is made from the DAG as Airflow knew it then, while this
        process has read the DAG file anew. Raises `AirflowFailException`, whose cause is a `LabChangedError`.
        """
        instance = context["ti"]

        def count(task_id: str, states: list[str] | None = None) -> int:
            found: int = instance.get_ti_count(
                dag_id=instance.dag_id, run_ids=[instance.run_id], task_ids=[task_id], states=states
            )
            return found

        for task_id, width in self.plan.widths.items():
            scheduled = count(task_id) - count(task_id, ["removed"])
            if scheduled != width:
                error = LabChangedError(
                    f"Airflow made this DAG run from another build of lab {self.lab_name!r} than the one that is"
                    f" there now ({self.lab.path}): task {task_id} has {scheduled} instances, not"
                    f" {width}. Nothing was run. Airflow has not read the new build yet: run"
                    " `airflow dags reserialize` (or wait until it reads DAG files by itself), then trigger the DAG"
                    " again; or serve the lab through RepxLabBundle."
                )
                raise AirflowFailException(str(error)) from error
