"""DAG params that the DAG of a run and the DAG of its lab share: the fields of the trigger form."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, BaseOperator, Param
from airflow.sdk.definitions.param import ParamsDict

__all__ = [
    "continue_param",
    "downstream_param",
    "force_param",
    "jobs_param",
    "keep_params_on_dag",
    "on_missing_param",
]

_DRAFT: dict[str, Any] = {"$schema": "http://json-schema.org/draft-07/schema#"}
"""Airflow checks each param and its schema in every task and trigger: a quarter of the time of the newest draft's."""


def jobs_param() -> Param:
    """Which jobs of a run are wanted."""
    return _param(
        [],
        type="array",
        items={"type": "string"},
        title="Jobs",
        description="Only these jobs and what they depend on: job ids, their beginnings, stages, or patterns like"
        " *-simulate-*. Empty: all.",
    )


def downstream_param() -> Param:
    """Whether what depends on the given jobs is wanted as well."""
    return _param(
        False,
        type="boolean",
        title="And what depends on them",
        description="With jobs given: also the jobs that read their results, directly or through others.",
    )


def force_param(description: str = "Run jobs again that are done already.") -> Param:
    """Whether to run jobs again that are done."""
    return _param(False, type="boolean", title="Force", description=description)


def continue_param(description: str) -> Param:
    """Whether to go on after a failure."""
    return _param(True, type="boolean", title="Continue on failure", description=description)


def on_missing_param(default: str) -> Param:
    """What to do about jobs of an upstream run that are not done, and that nobody is doing."""
    return _param(
        default,
        type="string",
        enum=["trigger", "wait", "fail"],
        title="When results of an upstream run are missing",
        description="trigger: start that run (one that is under way is waited for). wait: until somebody has made"
        " them. fail: at once.",
    )


def keep_params_on_dag(dag: DAG) -> None:
    """Take the copies of the DAG's params out of its tasks.

    Airflow writes one into every task, although it merges both when a task is run: without them a DAG is smaller by a
    quarter or more, and so is what goes to the triggerer with each task instance.
    """
    for task in dag.tasks:
        if isinstance(task, BaseOperator):
            task.params = ParamsDict()


def _param(default: Any, *, description: str, **schema: Any) -> Param:
    return Param(default, description, **_DRAFT, **schema)
