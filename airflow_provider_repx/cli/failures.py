"""Where to look when a DAG run has failed. Needs Airflow's database."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow.models.taskinstance import TaskInstance
from airflow.sdk.configuration import conf
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

from airflow_provider_repx.cli.airflow_dags import DagRunView
from airflow_provider_repx.cli.tables import counted

__all__ = ["FailedTask", "failed_tasks", "where_to_look"]

_SHOWN = 3
_SUMMARY_TASK_ID = "summary"


@dataclass(frozen=True)
class FailedTask:
    """A task instance that failed; `log` is a file on this machine, else the address of a web page."""

    task_id: str
    map_index: int
    label: str
    log: str

    def __str__(self) -> str:
        index = "" if self.map_index < 0 else f"[{self.map_index}]"
        label = f" ({self.label})" if self.label else ""
        return f"task {self.task_id}{index}{label}: its log is {self.log}"


def failed_tasks(dag_id: str, run_id: str) -> tuple[FailedTask, ...]:
    """The task instances of a DAG run that failed by themselves, the first that failed first.

    The summary fails because others did, so it is left out where there are others.
    """
    with create_session() as session:
        found = session.scalars(
            select(TaskInstance)
            .where(
                TaskInstance.dag_id == dag_id,
                TaskInstance.run_id == run_id,
                TaskInstance.state == TaskInstanceState.FAILED,
            )
            .order_by(TaskInstance.end_date, TaskInstance.task_id, TaskInstance.map_index)
        ).all()
        tasks = tuple(
            FailedTask(instance.task_id, instance.map_index, instance.rendered_map_index or "", _log_of(instance))
            for instance in found
        )
    return tuple(task for task in tasks if task.task_id != _SUMMARY_TASK_ID) or tasks


def where_to_look(dag_run: DagRunView, run: str, lab_option: str, *, failed_jobs: int) -> Iterator[str]:
    """What a person should look at, one line each, after a DAG run that failed, and so many of its jobs.

    `lab_option` is what another command needs behind it to be about the same lab.
    """
    if failed_jobs:
        yield f"what failed: airflow repx list jobs {shlex.quote(run)} --status failed{lab_option}"
    tasks = failed_tasks(dag_run.dag_id, dag_run.run_id)
    yield from (f"what failed: {task}" for task in tasks[:_SHOWN])
    if len(tasks) > _SHOWN:
        yield f"and {counted(len(tasks) - _SHOWN, 'more task')}: see the DAG run in Airflow's web interface"
    if not tasks:
        yield "none of its tasks failed: somebody marked the DAG run as failed, or it took longer than it may"


def _log_of(instance: TaskInstance) -> str:
    """The log of a task's last try: the file where Airflow's own settings put it, if it is on this machine."""
    index = [f"map_index={instance.map_index}"] if instance.map_index >= 0 else []
    file = Path(
        conf.get("logging", "base_log_folder", fallback=""),
        f"dag_id={instance.dag_id}",
        f"run_id={instance.run_id}",
        f"task_id={instance.task_id}",
        *index,
        f"attempt={instance.try_number}.log",
    )
    return str(file) if file.is_file() else str(instance.log_url)
