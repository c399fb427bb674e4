"""Marking task instances as skipped before they start, without a process for each."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk.execution_time import comms

__all__ = ["skip_task_instances"]

_AT_ONCE = 1000
"""Task instances of one request: databases limit the values of one statement."""


def skip_task_instances(instances: Sequence[tuple[str, int]]) -> None:
    """Mark task instances of this DAG run, (task id, map index; -1: not mapped), as skipped. For workers.

    Those that are running, or have ended, are left alone.
    """
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - set once the process has begun its work

    for begin in range(0, len(instances), _AT_ONCE):
        tasks: list[str | tuple[str, int]] = list(instances[begin : begin + _AT_ONCE])
        task_runner.SUPERVISOR_COMMS.send(comms.SkipDownstreamTasks(tasks=tasks))
