"""DAGs as Airflow's database holds them. Needs that database: the scheduler or the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
from sqlalchemy import select

__all__ = ["repx_dags_in_database"]


def repx_dags_in_database() -> Iterator[Any]:
    """Every DAG that this provider made and that is not stale, deserialized."""
    with create_session() as session:
        dag_ids = session.scalars(
            select(DagModel.dag_id).where(DagModel.tags.any(name="repx"), ~DagModel.is_stale).order_by(DagModel.dag_id)
        ).all()
        for dag_id in dag_ids:
            row = SerializedDagModel.get(dag_id, session=session)
            if row is not None:
                yield row.dag
