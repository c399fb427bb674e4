"""Links from a task to what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

from airflow_provider_repx.targets import SlurmDefaults

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey

__all__ = ["ChildRunLink", "SlurmJobLink", "SlurmLogLink", "UpstreamRunLink", "dag_run_url", "slurm_links"]


def dag_run_url(dag_id: str, run_id: str | None = None) -> str:
    """The address of a DAG run's page, or without one of the DAG's."""
    base_url = conf.get("api", "base_url", fallback="/").rstrip("/")
    page = f"{base_url}/dags/{quote(dag_id, safe='')}"
    return page if run_id is None else f"{page}/runs/{quote(run_id, safe='')}"


class _OtherRunLink(BaseOperatorLink):
    """To the DAG run that the task knows of, or to its DAG while it knows of none.

    Airflow asks for the address in the task's own process, where `operator` is the task that was just executed.
    """

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """The address of the page."""
        return self._address(operator)

    def publish(self, operator: BaseOperator, context: Context) -> None:
        """Show the link now: Airflow itself does so when a task ends, and not while it waits."""
        context["ti"].xcom_push(key=self.xcom_key, value=self._address(operator))

    @staticmethod
    def _address(operator: BaseOperator) -> str:
        dag_id: str = getattr(operator, "external_dag_id", "")
        return dag_run_url(dag_id, getattr(operator, "external_run_id", None))


class UpstreamRunLink(_OtherRunLink):
    """From a sensor to the DAG run that makes, or is expected to make, the data that it waits for."""

    name = "Upstream run"


class ChildRunLink(_OtherRunLink):
    """From a task of the lab's DAG to the DAG run that it started."""

    name = "DAG run"


class _SlurmLink(BaseOperatorLink):
    """Somewhere at the cluster's web pages, as the `slurm` connection describes them; empty where it does not.

    The trigger works the address out, and pushes it where it ends the task itself; else the worker that does is told.
    """

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """The address that the trigger has worked out."""
        known: Mapping[str, str] = getattr(operator, "slurm_links", {})
        return known.get(self.xcom_key, "")


class SlurmJobLink(_SlurmLink):
    """To the page of the Slurm job."""

    name = "Slurm job"


class SlurmLogLink(_SlurmLink):
    """To the log of the job's standard error."""

    name = "Job's log"


def slurm_links(defaults: SlurmDefaults, slurm_id: str, log: Path) -> dict[str, str]:
    """The addresses of a job's page and of its log, by the XCom that Airflow looks for; without those not known."""
    found = {}
    if defaults.job_url is not None and slurm_id:
        found[SlurmJobLink().xcom_key] = defaults.job_url.replace("{job}", quote(slurm_id))
    if defaults.file_url is not None:
        found[SlurmLogLink().xcom_key] = defaults.file_url.replace("{path}", quote(str(log)))
    return found
