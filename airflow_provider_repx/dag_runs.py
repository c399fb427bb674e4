"""DAG runs as a task, or a trigger, can see and start them: through Airflow's task execution interface alone."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import comms

__all__ = [
    "ACTIVE_STATES",
    "STARTED_KEY",
    "DagRunInfo",
    "active_dag_runs",
    "count_dag_runs",
    "dag_is_paused",
    "dag_run_info",
    "dag_run_state",
    "derived_run_id",
    "failed_at",
    "run_dag",
    "served_version",
    "warn_if_paused",
]

_log = logging.getLogger(__name__)

ACTIVE_STATES = ("queued", "running")
"""States of a DAG run that has not ended."""

STARTED_KEY = "started_dag_run"
"""XCom of a task: the DAG run that it has started, as an object with `dag_id` and `run_id`."""

# The last task of every run's DAG: it has ended if and only if nothing of the DAG run is left to do.
_LAST_TASK_ID = "summary"
_ENDED_TASK_STATES = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})

_FURTHER = 200
"""DAG runs to look at beyond those that are counted as active, when not all of these are found."""


@dataclass(frozen=True)
class DagRunInfo:
    """A DAG run: its state, and the configuration that it was started with."""

    dag_id: str
    run_id: str
    state: str
    conf: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """Whether it has not ended yet."""
        return self.state in ACTIVE_STATES


def derived_run_id(lab_id: str, dag_id: str, run_id: str) -> str:
    """The id of the DAG run that DAG run `run_id` of `dag_id` starts in another DAG: the same one each time."""
    digest = hashlib.sha256(f"{lab_id}\n{dag_id}\n{run_id}".encode()).hexdigest()
    return f"from_{dag_id[:150]}__{digest[:12]}"


def _supervisor() -> Any:
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - set once the process has begun its work

    return task_runner.SUPERVISOR_COMMS


def _text(state: Any) -> str:
    """A state as text: some answers hold members of an enumeration, others text."""
    return str(getattr(state, "value", state))


def _is_missing(error: AirflowRuntimeError) -> bool:
    return (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND


def dag_run_info(dag_id: str, run_id: str) -> DagRunInfo | None:
    """One DAG run, or `None` where there is none of this id. For workers, not for triggers."""
    try:
        found = _supervisor().send(comms.GetDagRun(dag_id=dag_id, run_id=run_id))
    except AirflowRuntimeError as error:
        if _is_missing(error):
            return None
        raise
    return DagRunInfo(dag_id, run_id, _text(found.state), found.conf or {})


def active_dag_runs(dag_id: str) -> tuple[tuple[DagRunInfo, ...], int]:
    """The DAG runs of a run's DAG that have not ended, and how many there are. For workers, not for triggers.

    A DAG run may end, or begin, while they are looked for: the number need not be that of those found.
    """
    counted = _supervisor().send(comms.GetDRCount(dag_id=dag_id, states=list(ACTIVE_STATES)))
    if not counted.count:
        return (), 0
    # There is no listing of DAG runs in this interface, but one of the states of a task.
    states = _supervisor().send(comms.GetTaskStates(dag_id=dag_id, task_ids=[_LAST_TASK_ID])).task_states
    # Some tasks of a DAG run may have been cleared without its last one, so those that seem to have ended come after.
    likely = sorted(states, key=lambda run_id: states[run_id].get(_LAST_TASK_ID) in _ENDED_TASK_STATES)
    found: list[DagRunInfo] = []
    for run_id in likely[: counted.count + _FURTHER]:
        if len(found) >= counted.count:
            break
        info = dag_run_info(dag_id, run_id)
        if info is not None and info.is_active:
            found.append(info)
    return tuple(sorted(found, key=lambda info: info.run_id)), counted.count


def failed_at(dag_id: str, logical_date: Any) -> tuple[str, ...]:
    """The ids of the failed DAG runs of a run's DAG at a logical date. For workers, not for triggers."""
    states = _supervisor().send(
        comms.GetTaskStates(dag_id=dag_id, task_ids=[_LAST_TASK_ID], logical_dates=[logical_date])
    )
    return tuple(run_id for run_id, tasks in states.task_states.items() if tasks.get(_LAST_TASK_ID) == "failed")


def dag_is_paused(dag_id: str) -> bool | None:
    """Whether Airflow starts no task of a DAG; `None` where it knows no such DAG. For workers, not for triggers."""
    try:
        return bool(_supervisor().send(comms.GetDag(dag_id=dag_id)).is_paused)
    except AirflowRuntimeError as error:
        if _is_missing(error):
            return None
        raise


def warn_if_paused(dag_id: str) -> None:
    """Say so where DAG runs of a DAG do not go on. For workers, not for triggers."""
    if dag_is_paused(dag_id):
        _log.warning("DAG %s is paused: its DAG runs go on after `airflow dags unpause %s`.", dag_id, dag_id)


def served_version(dag_id: str) -> tuple[bool, str | None]:
    """Whether Airflow knows a DAG, and which version of its bundle it has read last. For workers, not for triggers."""
    try:
        return True, _supervisor().send(comms.GetDag(dag_id=dag_id)).bundle_version
    except AirflowRuntimeError as error:
        if _is_missing(error):
            return False, None
        raise


def run_dag(dag_id: str, run_id: str, *, conf: Mapping[str, Any], note: str, again: bool = False) -> bool:
    """Start a DAG run, or with `again` clear one that has ended; `False` where it exists and was left alone.

    For workers, not for triggers. Raises `AirflowRuntimeError` where Airflow refuses.
    """
    answer = _supervisor().send(
        comms.TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=dict(conf), note=note, reset_dag_run=again)
    )
    return not isinstance(answer, comms.ErrorResponse)


async def dag_run_state(dag_id: str, run_id: str) -> str | None:
    """The state of a DAG run, or `None` where there is none of this id. For triggers."""
    try:
        found = await _supervisor().asend(comms.GetDagRunState(dag_id=dag_id, run_id=run_id))
    except AirflowRuntimeError as error:
        if _is_missing(error):
            return None
        raise
    return _text(found.state)


async def count_dag_runs(dag_id: str, *, states: Collection[str], run_ids: Collection[str] = ()) -> int:
    """How many DAG runs, of those given or of all, are in one of the states. For triggers."""
    request = comms.GetDRCount(dag_id=dag_id, states=list(states), run_ids=list(run_ids) or None)
    answer = await _supervisor().asend(request)
    return int(answer.count)
