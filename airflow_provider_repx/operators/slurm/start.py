"""Where a Slurm task starts: on a worker, or in the triggerer at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

__all__ = ["Start", "starts_from_triggerer"]

Start: TypeAlias = Literal["auto", "worker", "triggerer"]

_DEFAULT_POOL = "default_pool"


def starts_from_triggerer(operator: BaseOperator, start: Start, templated: Iterable[Any] = ()) -> bool:
    """Whether a task can, and shall, start without a worker.

    With ``auto`` it does unless it has what only a worker does (outlets, a callback on success, an execution timeout),
    waits for slots of a pool of its own, or takes values of other tasks as arguments. `templated` are those arguments.
    Raises `ValueError` for an unknown `start`.
    """
    if start not in ("auto", "worker", "triggerer"):
        raise ValueError(f"start: {start!r} is not one of auto, worker, triggerer")
    if start != "auto":
        return start == "triggerer"
    needs_worker = (
        bool(operator.outlets)
        or bool(operator.on_success_callback)
        or operator.execution_timeout is not None
        or operator.pool != _DEFAULT_POOL
        or any(map(_refers_to_tasks, templated))
    )
    return not needs_worker


def _refers_to_tasks(value: Any) -> bool:
    # What Airflow resolves at run time: XComs, and arguments of a mapped task group.
    if hasattr(value, "iter_references"):
        return True
    if isinstance(value, dict):
        return any(map(_refers_to_tasks, value.values()))
    return isinstance(value, list | tuple) and any(map(_refers_to_tasks, value))
