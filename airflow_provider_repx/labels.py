"""What users see instead of map indices, written into Airflow's database. Needs it: for the scheduler.

Airflow renders `map_index_template` on workers, when a task ends there. These labels are there from the beginning of a
DAG run, also of tasks that start from the triggerer, so that a sweep point is found by its parameters while it waits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import Select, bindparam, select, update
from sqlalchemy.exc import OperationalError

from airflow_provider_repx.plan.label_text import unpacked_labels

__all__ = ["write_labels"]

_PAUSES = (0.0, 0.5, 2.0, 5.0, 15.0, 60.0)
"""Seconds before each attempt."""

_AT_ONCE = 500
"""Rows of one transaction: it must not keep the scheduler waiting."""


def write_labels(dag_id: str, run_id: str, packed: str) -> int:
    """Label the task instances of a DAG run that have no label yet; returns how many.

    `packed` is the text of `plan.label_text`. Tries again for a minute while other transactions hold the rows.
    """
    labels = {
        (task_id, index): label
        for task_ids, texts in unpacked_labels(packed)
        for task_id in task_ids
        for index, label in enumerate(texts)
    }
    written = 0
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            while rows := _label_some(dag_id, run_id, labels):
                written += rows
            if not _some_left(dag_id, run_id, labels):
                break
        except OperationalError:
            # The database is locked, or this transaction was in the way of another.
            continue
    return written


def _label_some(dag_id: str, run_id: str, labels: Mapping[tuple[str, int], str]) -> int:
    table = TaskInstance.__table__
    with create_session() as session:
        # Never waits for a row while holding another, so it cannot get the scheduler into a deadlock.
        found = session.execute(_unlabeled(dag_id, run_id, labels).limit(_AT_ONCE).with_for_update(skip_locked=True))
        changes = [
            {"row": row.id, "label": label}
            for row in found
            if (label := labels.get((row.task_id, row.map_index))) is not None
        ]
        if changes:
            by_id = update(table).where(table.c.id == bindparam("row"))
            session.connection().execute(by_id.values(rendered_map_index=bindparam("label")), changes)
    return len(changes)


def _some_left(dag_id: str, run_id: str, labels: Mapping[tuple[str, int], str]) -> bool:
    with create_session() as session:
        found = session.execute(_unlabeled(dag_id, run_id, labels))
        return any((row.task_id, row.map_index) in labels for row in found)


def _unlabeled(dag_id: str, run_id: str, labels: Mapping[tuple[str, int], str]) -> Select[Any]:
    table = TaskInstance.__table__
    return select(table.c.id, table.c.task_id, table.c.map_index).where(
        table.c.dag_id == dag_id,
        table.c.run_id == run_id,
        table.c.task_id.in_({task_id for task_id, _ in labels}),
        table.c.map_index >= 0,
        table.c.rendered_map_index.is_(None),
    )
