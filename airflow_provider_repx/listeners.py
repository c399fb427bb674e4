"""What the scheduler, the API server, and at its start a triggerer do for RepX's DAGs.

Pools exist before a job asks for a slot; each DAG run notes which lab it is about; sweep points show their parameters;
lab versions that nobody uses any more are let go; what a task has started ends with it when somebody ends it.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from airflow_provider_repx.operators.base import OPEN_LAB_TASK_ID
from airflow_provider_repx.orphans import start_in_background
from airflow_provider_repx.plan import PoolPlan

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

__all__ = ["known_pools", "on_dag_run_running", "on_starting", "on_task_instance_failed"]

_log = logging.getLogger(__name__)

_FORKING = frozenset({"scheduler", "dag-processor"})
"""Processes that fork one for each look at a DAG file, or with the LocalExecutor for each task."""

_STARTING_OPERATORS = frozenset({"RepxRunOperator", "RepxRunSensor"})
"""Tasks that start DAG runs of other DAGs."""


@hookimpl
def on_starting(component: Any) -> None:
    """Check the pools of every known DAG when a scheduler starts, and begin to look for unused lab versions.

    When a triggerer starts, Slurm jobs are looked for whose tasks were ended while there was none. What forks
    processes that build DAGs gets the modules for it now, instead of each of them a third of a second later.
    """
    role = _role(component)
    if role in _FORKING:
        _import_ahead()
    if role == "triggerer":
        start_in_background()
    if role == "scheduler":
        _in_background(lambda: _ensure(known_pools()), "create its pools; `airflow repx pools` does so, too")
        _in_background(_keep_releasing, "look for lab versions that nobody uses")


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001 - Airflow's signature
    """Check the pools of a DAG run before its first task, note its lab, and label its sweep points."""
    dag = getattr(dag_run, "dag", None)
    if pools := _pools_of(dag):
        _in_background(lambda: _ensure(pools), "create its pools; `airflow repx pools` does so, too")
    if note := getattr(_first_task(dag), "lab_note", None):
        dag_id, run_id = dag_run.dag_id, dag_run.run_id
        _in_background(lambda: _note(dag_id, run_id, note), f"note the lab of DAG run {run_id} of {dag_id}")
    if labels := getattr(_first_task(dag), "point_labels", None):
        dag_id, run_id = dag_run.dag_id, dag_run.run_id
        _in_background(lambda: _label(dag_id, run_id, labels), f"label the tasks of DAG run {run_id} of {dag_id}")


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any) -> None:
    """Stop what a task has started that somebody marks as failed, unless somebody else waits for it."""
    # Airflow gives no state of before where a person ends a task, by itself or with its DAG run: in the API server.
    if previous_state is not None or getattr(task_instance, "operator", None) not in _STARTING_OPERATORS:
        return
    dag_id, run_id, task_id = task_instance.dag_id, task_instance.run_id, task_instance.task_id
    _in_background(
        lambda: _stop_started(dag_id, run_id, task_id), f"stop what task {task_id} of {dag_id} {run_id} has started"
    )


def _role(component: Any) -> str | None:
    """Which of Airflow's long-running processes this is; `None` for a task's."""
    if not hasattr(component, "job_type"):
        return None
    # Airflow tells of a job before it has said which kind of job it is. The command that made it is known.
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    return words[0] if words else None


def _import_ahead() -> None:
    try:
        import airflow_provider_repx.factory.lab_dags  # noqa: F401, PLC0415 - loads all operators, see above
    except Exception:  # noqa: BLE001 - whatever happens here must not reach Airflow; the DAG file will tell it again
        _log.exception("RepX's modules cannot be imported")


def _in_background(work: Callable[[], None], what: str) -> None:
    """Work in a thread of its own: the scheduler's database session must not be touched from a listener."""

    def guarded() -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - whatever happens here must not reach the scheduler; it is logged
            _log.exception("RepX could not %s", what)

    threading.Thread(target=guarded, name="repx-listener", daemon=True).start()


def _ensure(pools: Iterable[PoolPlan]) -> None:
    from airflow_provider_repx.pools import ensure_pools  # noqa: PLC0415 - needs Airflow's database

    ensure_pools(pools)


def _note(dag_id: str, run_id: str, note: str) -> None:
    from airflow_provider_repx.lab_versions import note_lab  # noqa: PLC0415 - needs Airflow's database

    note_lab(dag_id, run_id, note)


def _label(dag_id: str, run_id: str, labels: str) -> None:
    from airflow_provider_repx.labels import write_labels  # noqa: PLC0415 - needs Airflow's database

    write_labels(dag_id, run_id, labels)


def _keep_releasing() -> None:
    from airflow_provider_repx.lab_versions import keep_releasing  # noqa: PLC0415 - needs Airflow's database

    keep_releasing()


def _stop_started(dag_id: str, run_id: str, task_id: str) -> None:
    from airflow_provider_repx.started_runs import stop_started_by  # noqa: PLC0415 - needs Airflow's database

    stop_started_by(dag_id, run_id, task_id)


def _first_task(dag: Any) -> Any:
    return getattr(dag, "task_dict", {}).get(OPEN_LAB_TASK_ID)


def _pools_of(dag: Any) -> list[PoolPlan]:
    return [PoolPlan(*pool) for pool in getattr(_first_task(dag), "pools", None) or ()]


def known_pools() -> Iterable[PoolPlan]:
    """The pools that every DAG in Airflow's database asks for; the last word on a name wins. Needs the database."""
    from airflow_provider_repx.serialized import repx_dags_in_database  # noqa: PLC0415 - needs Airflow's database

    return {pool.name: pool for dag in repx_dags_in_database() for pool in _pools_of(dag)}.values()
