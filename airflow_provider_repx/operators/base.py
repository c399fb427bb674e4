"""What every task of a run's DAG knows: which lab, which run, where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_repx.errors import LabChangedError, LabLookupError
from airflow_provider_repx.execution.store import Claimant, OutputStore
from airflow_provider_repx.lab import JobId, Lab, LabReference, Run, select_jobs

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.plan import RunPlan
    from airflow_provider_repx.targets import Target

__all__ = ["LAB_ID_KEY", "OPEN_LAB_TASK_ID", "PLAN_KEY", "RunTaskOperator", "claimant_of", "require_same_lab"]

OPEN_LAB_TASK_ID = "open_lab"
LAB_ID_KEY = "lab_id"
PLAN_KEY = "plan"


def claimant_of(context: Context) -> Claimant:
    """Who this try of a task instance is, for claims and logs."""
    instance = context["ti"]
    return Claimant(
        dag_id=instance.dag_id,
        run_id=instance.run_id,
        task_id=instance.task_id,
        map_index=-1 if instance.map_index is None else instance.map_index,
        try_number=instance.try_number,
    )


def require_same_lab(lab: LabReference, context: Context) -> None:
    """Compare a task's lab with the one that its DAG run started with.

    Raises `AirflowFailException`, whose cause is a `LabChangedError`, where the DAG file was evaluated again on another
    lab since, or where it is not known which lab the DAG run started with: another try would find the same.
    """
    try:
        _compare(lab, context)
    except LabChangedError as error:
        raise AirflowFailException(str(error)) from error


def _compare(lab: LabReference, context: Context) -> None:
    started_with = context["ti"].xcom_pull(task_ids=OPEN_LAB_TASK_ID, key=LAB_ID_KEY)
    if started_with is None:
        raise LabChangedError(
            f"Task {OPEN_LAB_TASK_ID} has not succeeded in this DAG run, so its lab is not known. Nothing was run."
            f" Clear {OPEN_LAB_TASK_ID} with everything downstream, or trigger the DAG again."
        )
    if started_with != lab.lab_id:
        raise LabChangedError(
            f"This DAG run started with lab {lab.name!r} as {started_with}, but its DAG file now describes"
            f" {lab.lab_id} ({lab.path}): the lab was rebuilt meanwhile. Nothing was run. Trigger the DAG again for"
            " the new lab (jobs that did not change are reused), or serve the lab through RepxLabBundle, which keeps"
            " each DAG run on the lab it started with."
        )


class RunTaskOperator(BaseOperator):
    """Base of the tasks of one run's DAG.

    Holds the lab as it was read, and the plan made of it, when the DAG file was parsed in this very process. Neither is
    serialized, and nothing of a lab is ever rendered as a template.

    :param lab: the lab that the DAG was made from
    :param lab_name: what the lab is configured as
    :param plan: the run's plan
    :param target: where its jobs run
    """

    template_fields: Sequence[str] = ()
    shallow_copy_attrs: Sequence[str] = ("lab", "plan", "target")

    def __init__(self, *, lab: Lab, lab_name: str, plan: RunPlan, target: Target, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lab = lab
        self.lab_name = lab_name
        self.plan = plan
        self.target = target

    @property
    def store(self) -> OutputStore:
        """The output store of the target."""
        return OutputStore(self.target.base_path)

    @property
    def repx_run(self) -> Run:
        """The run that this task belongs to."""
        return self.lab.run(self.plan.run)

    def require_same_lab(self, context: Context) -> None:
        """Fail for good when this DAG run started with another lab; see the function of this name."""
        require_same_lab(self.lab.reference(self.lab_name), context)

    def require_same_plan(self, context: Context) -> None:
        """Fail for good when a map index meant another job at the start of this DAG run: settings were changed since.

        Raises `AirflowFailException`, whose cause is a `LabChangedError`.
        """
        started_with = context["ti"].xcom_pull(task_ids=OPEN_LAB_TASK_ID, key=PLAN_KEY)
        if started_with == self.plan.fingerprint:
            return
        error = LabChangedError(
            f"Run {self.plan.run!r} is divided into tasks in another way than when this DAG run started: settings such"
            " as max_mapped, cpus, memory or resources_file were changed since. Nothing was run. Trigger the DAG again:"
            " jobs that are done are reused."
        )
        raise AirflowFailException(str(error)) from error

    def wanted(self, context: Context) -> frozenset[JobId]:
        """The jobs that the DAG run asks for (param `jobs`; empty: all), with everything upstream of them.

        Blanks around a pattern do not count. Raises `AirflowFailException` for a pattern that no job matches: it would
        match none at the next try either.
        """
        patterns = [pattern.strip() for pattern in context["params"].get("jobs") or []]
        try:
            return frozenset(select_jobs(self.repx_run, [pattern for pattern in patterns if pattern]))
        except LabLookupError as error:
            raise AirflowFailException(f"param `jobs`: {error}") from error
