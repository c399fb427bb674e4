"""DAG params that the DAG of a run and the DAG of its lab share: the fields of the trigger form."""

from __future__ import annotations

from airflow.sdk import Param

__all__ = ["continue_param", "downstream_param", "force_param", "jobs_param", "on_missing_param"]


def jobs_param() -> Param:
    """Which jobs of a run are wanted."""
    return Param(
        [],
        type="array",
        items={"type": "string"},
        title="Jobs",
        description="Only these jobs and what they depend on: job ids, their beginnings, stages, or patterns like"
        " *-simulate-*. Empty: all.",
    )


def downstream_param() -> Param:
    """Whether what depends on the given jobs is wanted as well."""
    return Param(
        False,
        type="boolean",
        title="And what depends on them",
        description="With jobs given: also the jobs that read their results, directly or through others.",
    )


def force_param(description: str = "Run jobs again that are done already.") -> Param:
    """Whether to run jobs again that are done."""
    return Param(False, type="boolean", title="Force", description=description)


def continue_param(description: str) -> Param:
    """Whether to go on after a failure."""
    return Param(True, type="boolean", title="Continue on failure", description=description)


def on_missing_param(default: str) -> Param:
    """What to do about jobs of an upstream run that are not done, and that nobody is doing."""
    return Param(
        default,
        type="string",
        enum=["trigger", "wait", "fail"],
        title="When results of an upstream run are missing",
        description="trigger: start that run (one that is under way is waited for). wait: until somebody has made"
        " them. fail: at once.",
    )
