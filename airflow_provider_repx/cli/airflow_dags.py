"""DAGs and DAG runs, as the command line sees and changes them. Needs Airflow's database.

Changes go through the functions that Airflow's own commands and its web interface use.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from getpass import getuser
from typing import TYPE_CHECKING, Any

from airflow.api.client import get_current_api_client
from airflow.api.common.mark_tasks import set_dag_run_state_to_failed
from airflow.models.dag import DagModel
from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from airflow_provider_repx.errors import CommandLineError, DagError
from airflow_provider_repx.started_runs import StartedRun, stop_started_by_all

if TYPE_CHECKING:
    from airflow.serialization.definitions.dag import SerializedDAG
    from sqlalchemy.orm import Session

__all__ = [
    "DagRunView",
    "active_dag_runs",
    "clear_dag_run",
    "fail_dag_run",
    "fail_tasks",
    "find_dag_run",
    "latest_dag_run",
    "queue_stands_still",
    "require_dag",
    "trigger_dag",
    "watch_dag_run",
    "xcom",
]

_ACTIVE = (DagRunState.QUEUED, DagRunState.RUNNING)
_PAUSES = (1.0, 5.0, 15.0, 30.0)
"""Seconds before each further look at a database that does not answer."""


@dataclass(frozen=True)
class DagRunView:
    """One DAG run, at one moment; `conf` is what it was triggered with."""

    dag_id: str
    run_id: str
    state: str
    conf: Mapping[str, Any]
    created: datetime | None
    started: datetime | None
    ended: datetime | None

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.state in _ACTIVE


def require_dag(dag_id: str, *, unpaused: bool = False) -> None:
    """Raise `DagError`, with what to do, unless Airflow knows the DAG; with `unpaused`, also where it is paused."""
    with create_session() as session:
        found = session.execute(select(DagModel.is_stale, DagModel.is_paused).where(DagModel.dag_id == dag_id)).first()
        stale, paused = (True, False) if found is None else found
        broken = session.scalars(select(ParseImportError.filename)).all() if stale else []
    if stale:
        advice = (
            f"Some DAG files do not import ({', '.join(sorted(filter(None, broken)))}):"
            " `airflow dags list-import-errors` says why."
            if broken
            else "Put its DAG file where Airflow finds DAGs; `airflow dags reserialize` reads it at once."
        )
        raise DagError(f"Airflow knows no DAG {dag_id!r}. {advice}")
    if unpaused and paused:
        raise DagError(f"DAG {dag_id} is paused, so it would stay queued. Run `airflow dags unpause {dag_id}` first.")


def trigger_dag(dag_id: str, conf: Mapping[str, Any]) -> str:
    """Trigger a DAG as `airflow dags trigger` does, and return the id of the DAG run; raises `DagError`."""
    try:
        made = get_current_api_client().trigger_dag(
            dag_id=dag_id, conf=dict(conf), triggering_user_name=_user(), logical_date=None
        )
    except ValueError as error:
        # What Airflow raises for a conf that the DAG's params refuse.
        raise DagError(f"DAG {dag_id} cannot be triggered: {error}") from error
    if made is None:
        raise DagError(f"DAG {dag_id} was not triggered, and Airflow does not say why; see its scheduler's log.")
    run_id: str = made["dag_run_id"]
    return run_id


def watch_dag_run(dag_id: str, run_id: str) -> DagRunView:
    """As `find_dag_run`, for a DAG run that is followed: waits for a database that is busy or away for a while."""
    for pause in _PAUSES:
        try:
            return find_dag_run(dag_id, run_id)
        except OperationalError:  # noqa: PERF203 - each attempt has its own outcome
            time.sleep(pause)
    return find_dag_run(dag_id, run_id)


def find_dag_run(dag_id: str, run_id: str | None) -> DagRunView:
    """A DAG run by its id, else the latest; raises `CommandLineError` where there is none."""
    if run_id is None:
        latest = latest_dag_run(dag_id)
        if latest is None:
            raise CommandLineError(f"DAG {dag_id} has no DAG runs. Trigger one with `airflow repx run`.")
        return latest
    with create_session() as session:
        found = session.scalars(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).one_or_none()
        if found is not None:
            return _view(found)
    raise CommandLineError(f"--dag-run {run_id!r}: DAG {dag_id} has no such DAG run.")


def latest_dag_run(dag_id: str) -> DagRunView | None:
    """The DAG run that was made last."""
    with create_session() as session:
        found = session.scalars(
            select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.run_after.desc(), DagRun.id.desc()).limit(1)
        ).one_or_none()
        return None if found is None else _view(found)


def active_dag_runs(dag_id: str) -> Sequence[DagRunView]:
    """The DAG runs that have not ended, oldest first."""
    with create_session() as session:
        found = session.scalars(
            select(DagRun).where(DagRun.dag_id == dag_id, DagRun.state.in_(_ACTIVE)).order_by(DagRun.id)
        ).all()
        return [_view(run) for run in found]


def queue_stands_still(dag_id: str) -> str:
    """Why DAG runs of a DAG do not begin, as far as one can see from here; empty where nothing is wrong."""
    with create_session() as session:
        paused = session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id))
    if paused:
        return f"its DAG was paused; `airflow dags unpause {dag_id}`."
    from airflow.api.common.airflow_health import get_airflow_health  # noqa: PLC0415 - loads all of Airflow's processes

    if get_airflow_health()["scheduler"]["status"] != "healthy":
        return "no scheduler has given a sign of life; start `airflow scheduler`."
    return ""


def xcom(dag_id: str, run_id: str, task_id: str, key: str) -> Any:
    """A value that a task has pushed; `None` where there is none."""
    with create_session() as session:
        found = session.scalars(
            XComModel.get_many(run_id=run_id, key=key, task_ids=task_id, dag_ids=dag_id, limit=1)
        ).one_or_none()
        return None if found is None else XComModel.deserialize_value(found)


def fail_dag_run(dag_id: str, run_id: str) -> tuple[int, Sequence[StartedRun]]:
    """Mark a DAG run as failed, with its running tasks, and its waiting ones as skipped.

    Returns how many tasks changed, and the DAG runs that these had started and that ended with them, since nobody else
    waits for them.
    """
    with create_session() as session:
        changed, killed = set_dag_run_state_to_failed(
            dag=_dag_of(session, dag_id, run_id), run_id=run_id, commit=True, session=session
        )
        task_ids = sorted({instance.task_id for instance in killed})
    return len(changed), stop_started_by_all(dag_id, run_id, task_ids)


def fail_tasks(dag_id: str, run_id: str, tasks: Mapping[str, Collection[int] | None]) -> int:
    """Mark unfinished task instances as failed, given as map indices (`None`: all) by task id; how many changed."""
    with create_session() as session:
        dag = _dag_of(session, dag_id, run_id)
        count = 0
        for task_id, wanted in tasks.items():
            indices = _unfinished(session, dag_id, run_id, task_id)
            if wanted is not None:
                indices &= set(wanted)
            if indices:
                changed = dag.set_task_instance_state(
                    task_id=task_id,
                    map_indexes=sorted(indices),
                    run_id=run_id,
                    state=TaskInstanceState.FAILED,
                    session=session,
                )
                count += len(changed)
        return count


def clear_dag_run(dag_id: str, run_id: str, *, dry_run: bool) -> int:
    """Clear all tasks of a DAG run, so that Airflow goes through it again; how many tasks these are, or would be."""
    with create_session() as session:
        dag = _dag_of(session, dag_id, run_id)
        if dry_run:
            return len(dag.clear(run_id=run_id, dry_run=True, session=session))
        return dag.clear(run_id=run_id, session=session)


def _unfinished(session: Session, dag_id: str, run_id: str, task_id: str) -> set[int]:
    rows = session.execute(
        select(TaskInstance.map_index, TaskInstance.state).where(
            TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id
        )
    ).all()
    return {index for index, state in rows if state is None or state not in _FINISHED}


_FINISHED = frozenset(
    {
        TaskInstanceState.SUCCESS,
        TaskInstanceState.FAILED,
        TaskInstanceState.SKIPPED,
        TaskInstanceState.UPSTREAM_FAILED,
        TaskInstanceState.REMOVED,
    }
)


def _dag_of(session: Session, dag_id: str, run_id: str) -> SerializedDAG:
    """The version of a DAG that a DAG run belongs to."""
    dag_run = session.scalars(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).one()
    dag = DBDagBag().get_dag_for_run(dag_run, session=session)
    if dag is None:
        raise DagError(f"Airflow has no version of DAG {dag_id} for its DAG run {run_id}: it cannot be changed.")
    return dag


def _user() -> str | None:
    try:
        return getuser()
    except (KeyError, OSError):
        # A user without an entry in the user database, as in containers.
        return None


def _view(run: DagRun) -> DagRunView:
    return DagRunView(
        dag_id=run.dag_id,
        run_id=run.run_id,
        state=str(run.state),
        conf=dict(run.conf or {}),
        created=run.queued_at or run.run_after,
        started=run.start_date,
        ended=run.end_date,
    )
