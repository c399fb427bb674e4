"""Links from a task to what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

__all__ = ["UpstreamRunLink"]


class UpstreamRunLink(BaseOperatorLink):
    """From a sensor to the DAG of the run that it waits for.

    It leads to the DAG, not to one of its DAG runs: the data that is awaited may come from any of them.
    """

    name = "Upstream run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """The address of the upstream DAG's page."""
        base_url = conf.get("api", "base_url", fallback="/").rstrip("/")
        dag_id: str = getattr(operator, "external_dag_id", "")
        return f"{base_url}/dags/{quote(dag_id)}"
