"""DAG runs that were started for the sake of another one end with it. Needs Airflow's database: for its API server.

Airflow lets them go on when the task that started them is marked as failed. Whoever stops the last run of a chain, or
the DAG of a whole lab, wants the jobs to stop that nobody else waits for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airflow.api.common.mark_tasks import set_dag_run_state_to_failed
from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from airflow_provider_repx.dag_runs import STARTED_KEY
from airflow_provider_repx.triggers.run import DagRunEndTrigger, RunDoneTrigger

__all__ = ["StartedRun", "stop_started_by", "stop_started_by_all"]

_log = logging.getLogger(__name__)

_ACTIVE = (DagRunState.QUEUED, DagRunState.RUNNING)
_WAITING = tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in (DagRunEndTrigger, RunDoneTrigger))

_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds before each look at the database: the request that marked the task has yet to commit, or it is busy."""


@dataclass(frozen=True)
class StartedRun:
    """A DAG run that a task of another one has started."""

    dag_id: str
    run_id: str


def stop_started_by(dag_id: str, run_id: str, task_id: str) -> list[StartedRun]:
    """Mark the DAG run as failed that a task had started which was marked as failed; and what that one had started.

    One that has ended, or that another task waits for, is left alone. So is everything where the task turns out not to
    be failed: it was cleared meanwhile. Returns what was stopped. Raises `OperationalError` where the database does not
    answer.
    """
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            with create_session() as session:
                if _state(session, dag_id, run_id, task_id) == TaskInstanceState.FAILED:
                    return list(_stop(session, dag_id, run_id, task_id))
        except OperationalError as error:
            _log.info("%s %s: what task %s had started is stopped later: %s", dag_id, run_id, task_id, error)
    return []


def stop_started_by_all(dag_id: str, run_id: str, task_ids: Iterable[str]) -> list[StartedRun]:
    """As `stop_started_by`, at once, for tasks that are known to have been marked as failed."""
    with create_session() as session:
        return [started for task_id in task_ids for started in _stop(session, dag_id, run_id, task_id)]


def _state(session: Session, dag_id: str, run_id: str, task_id: str) -> str | None:
    return session.scalar(
        select(TaskInstance.state).where(
            TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id
        )
    )


def _stop(session: Session, dag_id: str, run_id: str, task_id: str) -> Iterator[StartedRun]:
    started = _started(session, dag_id, run_id, task_id)
    if started is None:
        return
    found = session.scalar(
        select(DagRun).where(
            DagRun.dag_id == started.dag_id, DagRun.run_id == started.run_id, DagRun.state.in_(_ACTIVE)
        )
    )
    if found is None:
        return
    if waiting := _who_waits_for(session, started):
        _log.info("DAG run %s of %s goes on: %s waits for it", started.run_id, started.dag_id, waiting)
        return
    dag = DBDagBag().get_dag_for_run(found, session=session)
    if dag is None:
        _log.warning("Airflow has no version of %s for %s: it goes on", started.dag_id, started.run_id)
        return
    _, killed = set_dag_run_state_to_failed(dag=dag, run_id=started.run_id, commit=True, session=session)
    found.note = f"{(found.note or '')[:900]} Stopped with it.".strip()
    # Airflow's sessions do not do this by themselves, and tasks that have ended are not to count as waiting below.
    session.flush()
    _log.info("DAG run %s of %s was stopped with %s of %s", started.run_id, started.dag_id, run_id, dag_id)
    yield started
    for instance in killed:
        yield from _stop(session, instance.dag_id, instance.run_id, instance.task_id)


def _started(session: Session, dag_id: str, run_id: str, task_id: str) -> StartedRun | None:
    found = session.scalars(
        XComModel.get_many(run_id=run_id, key=STARTED_KEY, task_ids=task_id, dag_ids=dag_id, limit=1)
    ).one_or_none()
    if found is None:
        return None
    value = XComModel.deserialize_value(found)
    return StartedRun(value["dag_id"], value["run_id"])


def _who_waits_for(session: Session, started: StartedRun) -> str | None:
    """A task that waits in the triggerer for the end of a DAG run; `None` where there is none."""
    waiting = session.execute(
        select(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, Trigger)
        .join(Trigger, Trigger.id == TaskInstance.trigger_id)
        .where(TaskInstance.state == TaskInstanceState.DEFERRED, Trigger.classpath.in_(_WAITING))
    )
    for dag_id, run_id, task_id, trigger in waiting:
        kwargs = trigger.kwargs
        awaited = kwargs.get("watched", [kwargs.get("run_id")])
        if kwargs.get("dag_id") == started.dag_id and started.run_id in awaited:
            return f"task {task_id} of {dag_id} {run_id}"
    return None
