"""What the scheduler does for RepX's DAGs: pools exist before a job asks for a slot."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from airflow_provider_repx.operators.base import OPEN_LAB_TASK_ID
from airflow_provider_repx.plan import PoolPlan

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

__all__ = ["known_pools", "on_dag_run_running", "on_starting"]

_log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: Any) -> None:
    """Check the pools of every known DAG when a scheduler starts."""
    if getattr(component, "job_type", None) == "SchedulerJob":
        _in_background(known_pools)


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001 - Airflow's signature
    """Check the pools of a DAG run before its first task."""
    pools = _pools_of(getattr(dag_run, "dag", None))
    if pools:
        _in_background(lambda: pools)


def _in_background(pools: Any) -> None:
    """Work in a thread of its own: the scheduler's database session must not be touched from a listener."""
    threading.Thread(target=_ensure, args=(pools,), name="repx-pools", daemon=True).start()


def _ensure(pools: Any) -> None:
    from airflow_provider_repx.pools import ensure_pools  # noqa: PLC0415 - needs Airflow's database

    try:
        ensure_pools(pools())
    except Exception:  # noqa: BLE001 - whatever happens here must not reach the scheduler; it is logged
        _log.exception("RepX could not check its pools; `airflow repx pools` creates them")


def _pools_of(dag: Any) -> list[PoolPlan]:
    task = getattr(dag, "task_dict", {}).get(OPEN_LAB_TASK_ID)
    return [PoolPlan(*pool) for pool in getattr(task, "pools", None) or ()]


def known_pools() -> Iterable[PoolPlan]:
    """The pools that every DAG in Airflow's database asks for; the last word on a name wins. Needs the database."""
    from airflow_provider_repx.serialized import repx_dags_in_database  # noqa: PLC0415 - needs Airflow's database

    return {pool.name: pool for dag in repx_dags_in_database() for pool in _pools_of(dag)}.values()
