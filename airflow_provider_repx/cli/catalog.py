"""The labs whose DAGs Airflow knows. Needs Airflow's database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from airflow.models.dag import DagModel, DagTag
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_repx.factory.recorded_settings import read_settings
from airflow_provider_repx.operators.base import OPEN_LAB_TASK_ID

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from airflow_provider_repx.factory.settings import LabSettings

__all__ = ["labs_of_dags"]

_TAG = "lab:"


def labs_of_dags() -> Mapping[str, LabSettings]:
    """The settings of each lab that DAGs in Airflow's database were made from, by the lab's name.

    Empty where there is no database, or one that is not set up: then Airflow knows no DAGs.
    """
    try:
        with create_session() as session:
            return {settings.name: settings for settings in _settings(session)}
    except SQLAlchemyError:
        return {}


def _settings(session: Session) -> Iterable[LabSettings]:
    rows = session.execute(
        select(DagTag.name, DagTag.dag_id)
        .join(DagModel, DagModel.dag_id == DagTag.dag_id)
        .where(DagTag.name.startswith(_TAG), DagModel.tags.any(name="repx"), ~DagModel.is_stale)
        .order_by(DagTag.name, DagTag.dag_id)
    ).all()
    found: set[str] = set()
    for tag, dag_id in rows:
        # All DAGs of a lab tell the same, and reading one takes a while.
        if tag in found:
            continue
        row = SerializedDagModel.get(dag_id, session=session)
        task = None if row is None else row.dag.task_dict.get(OPEN_LAB_TASK_ID)
        settings = read_settings(getattr(task, "doc_json", None))
        if settings is not None:
            found.add(tag)
            yield settings
