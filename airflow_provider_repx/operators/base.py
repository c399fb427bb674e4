"""What every task of a run's DAG knows: which lab, which run, where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_repx.claimants import claimant_of_instance
from airflow_provider_repx.errors import LabChangedError, LabError, LabLookupError
from airflow_provider_repx.execution.store import Claimant, OutputStore
from airflow_provider_repx.hooks.stores import store_of
from airflow_provider_repx.lab import JobId, Lab, LabReference, Run
from airflow_provider_repx.pinned import LAB_ID_KEY, OPEN_LAB_TASK_ID, PLAN_KEY, compare_lab, compare_plan
from airflow_provider_repx.plan.asked import AskedJobs, asked_jobs

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.plan import RunPlan
    from airflow_provider_repx.targets import Target

__all__ = [
    "LAB_ID_KEY",
    "OPEN_LAB_TASK_ID",
    "PLAN_KEY",
    "RunTaskOperator",
    "claimant_of",
    "lab_note",
    "require_same_lab",
]


def claimant_of(context: Context) -> Claimant:
    """Who this try of a task instance is, for claims and logs."""
    return claimant_of_instance(context["ti"])


def lab_note(lab: Lab, lab_name: str) -> str:
    """The version of a lab in one line, for people who look at a DAG run."""
    return f"RepX lab {lab_name}: id {lab.lab_id}, git {lab.git_hash}"


def require_same_lab(lab: LabReference, context: Context) -> None:
    """Compare a task's lab with the one that its DAG run started with.

    Raises `AirflowFailException`, whose cause is a `LabChangedError`, where the DAG file was evaluated again on another
    lab since, or where it is not known which lab the DAG run started with: another try would find the same.
    """
    started_with = context["ti"].xcom_pull(task_ids=OPEN_LAB_TASK_ID, key=LAB_ID_KEY)
    try:
        compare_lab(started_with, lab)
    except LabChangedError as error:
        raise AirflowFailException(str(error)) from error


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
        return store_of(self.target)

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
        try:
            compare_plan(started_with, self.plan)
        except LabChangedError as error:
            raise AirflowFailException(str(error)) from error

    def asked(self, context: Context) -> AskedJobs:
        """What the DAG run asks for, by its params `jobs`, `downstream` and `force`.

        Raises `AirflowFailException` for a pattern that no job matches: it would match none at the next try either.
        """
        params = context["params"]
        try:
            return asked_jobs(
                self.repx_run,
                params.get("jobs") or (),
                downstream=bool(params.get("downstream", False)),
                force=bool(params.get("force", False)),
            )
        except LabLookupError as error:
            raise AirflowFailException(f"param `jobs`: {error}") from error
        except LabError as error:
            # A lab does not change: another try would find the same.
            raise AirflowFailException(str(error)) from error

    def wanted(self, context: Context) -> frozenset[JobId]:
        """The jobs that the DAG run asks for; see `asked`."""
        return self.asked(context).wanted
