"""Where a Slurm task starts: on a worker, or in the triggerer at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow.sdk import AssetAlias

from airflow_provider_repx.operators.slurm.templates import needs_worker

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

__all__ = ["Start", "starts_from_triggerer"]

Start: TypeAlias = Literal["auto", "worker", "triggerer"]

_DEFAULT_POOL = "default_pool"


def starts_from_triggerer(operator: BaseOperator, start: Start, templated: Iterable[Any] = ()) -> bool:
    """Whether a task can, and shall, start without a worker.

    With ``auto`` it does unless it has what only a worker does (outlets, a callback on success, an execution timeout),
    waits for slots of a pool of its own, or has inlets or `templated` arguments that a triggerer cannot look up, such
    as values of other tasks. Raises `ValueError` for an unknown `start`, and where ``triggerer`` is asked for what
    cannot be.
    """
    if start not in ("auto", "worker", "triggerer"):
        raise ValueError(f"start: {start!r} is not one of auto, worker, triggerer")
    if start == "worker":
        return False
    # Which assets an alias stands for Airflow asks as a worker does; of a triggerer's question it takes no notice.
    asks = any(map(needs_worker, templated)) or any(isinstance(inlet, AssetAlias) for inlet in operator.inlets)
    if start == "triggerer":
        if asks:
            raise ValueError(
                f"task {operator.task_id}: start='triggerer': its arguments or inlets take values of other tasks,"
                " variables or the like, which only a worker can get. Leave `start` out."
            )
        return True
    only_worker = (
        bool(operator.outlets)
        or bool(operator.on_success_callback)
        or operator.execution_timeout is not None
        or operator.pool != _DEFAULT_POOL
        or asks
    )
    return not only_worker
