"""What a trigger asks Airflow: states of tasks, XComs. Many triggers of one DAG run ask once.

A trigger has no database. It asks its supervisor, one message at a time; synchronous calls of the task SDK would block
every other trigger of the process, so only messages that can be awaited are used here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates, GetTICount, TaskStatesResult, TICount
from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_repx.execution.store import Claimant

__all__ = ["RunKey", "ask_count", "ask_states", "ask_task_state", "ask_xcom", "instance_name", "push_result"]

_REMEMBERED_SECONDS = 15.0
_GATHERING_SECONDS = 0.1

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class RunKey:
    """One DAG run."""

    dag_id: str
    run_id: str

    @classmethod
    def of(cls, claimant: Claimant) -> RunKey:
        """The DAG run that a task instance belongs to."""
        return cls(claimant.dag_id, claimant.run_id)


async def ask_xcom(run: RunKey, task_id: str, key: str, *, now: bool = False, age: float = _REMEMBERED_SECONDS) -> Any:
    """The XCom of an unmapped task; `None` where there is none. Unless `now`, it may be `age` seconds old."""

    async def ask() -> Any:
        wanted = {"key": key, "dag_id": run.dag_id, "task_id": task_id, "run_id": run.run_id}
        return await XCom.aget_one(**wanted) if _can_wait() else XCom.get_one(**wanted)

    return await _remembered(("xcom", run, task_id, key), ask, now=now, age=age)


async def push_result(claimant: Claimant, value: Any) -> bool:
    """Push a task's result as a worker does; false where that has to come with the trigger's event.

    What comes with the event Airflow 3.3 stores as text: a task that pulls it gets no dict or list.
    """
    if not _can_wait():
        return False
    where = {"dag_id": claimant.dag_id, "run_id": claimant.run_id, "task_id": claimant.task_id}
    await XCom.aset("return_value", value, map_index=claimant.map_index, **where)
    return True


async def ask_count(
    run: RunKey, task_ids: Collection[str], state: str, *, now: bool = False, age: float = _REMEMBERED_SECONDS
) -> int:
    """How many instances of the tasks are in a state. Unless `now`, the answer may be `age` seconds old."""
    message = GetTICount(dag_id=run.dag_id, run_ids=[run.run_id], task_ids=list(task_ids), states=[state])

    async def ask() -> int:
        return (await _send(message, TICount)).count

    return await _remembered(("count", run, tuple(task_ids), state), ask, now=now, age=age)


async def ask_task_state(claimant: Claimant) -> str | None:
    """The state of a task instance now; `None` where it has none or does not exist any more.

    Questions about one task that come within a moment of each other are asked as one.
    """
    run = RunKey.of(claimant)
    question = ("states", run, claimant.task_id)

    async def ask() -> dict[str, str | None]:
        await asyncio.sleep(_GATHERING_SECONDS)
        # Whoever comes from here on wants to know of something that may not be seen any more.
        _under_way.pop(question, None)
        return await ask_states(run, [claimant.task_id])

    return (await _shared(question, ask)).get(instance_name(claimant))


async def ask_states(run: RunKey, task_ids: Collection[str]) -> dict[str, str | None]:
    """The states of all instances of the tasks now, by `instance_name`; those that do not exist are not among them."""
    message = GetTaskStates(dag_id=run.dag_id, run_ids=[run.run_id], task_ids=list(task_ids))
    found: dict[str, str | None] = (await _send(message, TaskStatesResult)).task_states.get(run.run_id, {})
    return found


def instance_name(claimant: Claimant) -> str:
    """What Airflow calls a task instance in its answer about states."""
    return claimant.task_id if claimant.map_index < 0 else f"{claimant.task_id}_{claimant.map_index}"


def _can_wait() -> bool:
    """Whether answers are awaited; in ``airflow dags test``, which runs one trigger at a time, they come at once."""
    return hasattr(task_runner.SUPERVISOR_COMMS, "asend")


async def _send(message: Any, expected: type[_Answer]) -> _Answer:
    comms = task_runner.SUPERVISOR_COMMS
    answer = await comms.asend(message) if _can_wait() else comms.send(message)
    if not isinstance(answer, expected):
        raise RuntimeError(f"Airflow's supervisor answered {answer!r} to {message!r}")  # noqa: TRY004 - not a type error
    return answer


_under_way: dict[object, asyncio.Task[Any]] = {}
_known: dict[object, tuple[float, Any]] = {}


async def _remembered(
    question: object,
    ask: Callable[[], Awaitable[_Answer]],
    *,
    now: bool = False,
    age: float = _REMEMBERED_SECONDS,
) -> _Answer:
    known = _known.get(question)
    if known is not None and not now and time.monotonic() - known[0] < age:
        found: _Answer = known[1]
        return found

    async def ask_and_remember() -> _Answer:
        answer = await ask()
        moment = time.monotonic()
        for old in [key for key, (at, _) in _known.items() if moment - at >= _REMEMBERED_SECONDS]:
            del _known[old]
        if answer is not None:
            _known[question] = (moment, answer)
        return answer

    return await _shared(question, ask_and_remember)


async def _shared(question: object, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Ask; those who ask while the answer is being fetched share it."""
    task: asyncio.Task[_Answer] | None = _under_way.get(question)
    # A task of an event loop that has ended belongs to nobody here.
    if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
        task = asyncio.ensure_future(_once(question, ask))
        _under_way[question] = task
    # Whoever is cancelled while waiting must not cancel it for the others.
    return await asyncio.shield(task)


async def _once(question: object, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    try:
        return await ask()
    finally:
        if _under_way.get(question) is asyncio.current_task():
            del _under_way[question]
