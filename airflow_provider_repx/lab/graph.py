"""The order in which things that depend on each other can run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from airflow_provider_repx.errors import LabFormatError
from airflow_provider_repx.lab.models import Executable, Job, JobId, Run

__all__ = ["find_order", "sink_step", "step_order", "steps_of", "topological_order"]

_NodeT = TypeVar("_NodeT")

_STEP_PREFIX = "step-"


def find_order(
    nodes: Iterable[_NodeT], upstream_of: Callable[[_NodeT], Iterable[_NodeT]]
) -> tuple[tuple[_NodeT, ...], tuple[_NodeT, ...]]:
    """Order `nodes` so that each comes after those upstream of it, and otherwise as they come.

    Nodes stay where they are unless something upstream of them has to move in front, so the order is stable. Takes time
    linear in nodes and edges.

    Returns:
        The order and ``()``; or, where nodes depend on each other in a circle, ``()`` and that circle.

    """
    done: dict[_NodeT, None] = {}
    for root in nodes:
        if root in done:
            continue
        # A recursive walk would end at Python's recursion limit in a long chain of jobs.
        path = {root: iter(upstream_of(root))}
        while path:
            node = next(reversed(path))
            for upstream in path[node]:
                if upstream in done:
                    continue
                if upstream in path:
                    members = tuple(path)
                    return (), members[members.index(upstream) :]
                path[upstream] = iter(upstream_of(upstream))
                break
            else:
                done[node] = None
                del path[node]
    return tuple(done), ()


def topological_order(run: Run) -> tuple[JobId, ...]:
    """The run's jobs, each after those that it reads from, and otherwise in the order of the run's file.

    Raises:
        LabFormatError: jobs read from each other in a circle (never of a run that came from `Lab.run`).

    """
    order, circle = find_order(run.jobs, lambda job_id: run.jobs[job_id].producers)
    if circle:
        raise LabFormatError(
            f"{run.metadata}: {run.name}: jobs read from each other in a circle: {' <- '.join(circle)}"
        )
    return order


def steps_of(job: Job) -> dict[str, Executable]:
    """The steps of a scatter-gather job by name (without ``step-``), in the order of its file."""
    return {
        name.removeprefix(_STEP_PREFIX): executable
        for name, executable in job.executables.items()
        if name.startswith(_STEP_PREFIX)
    }


def step_order(job: Job) -> tuple[str, ...]:
    """The names of a scatter-gather job's steps, each after its `deps`."""
    steps = steps_of(job)
    return find_order(steps, lambda name: steps[name].deps)[0]


def sink_step(job: Job) -> str:
    """The name of the one step that no other step depends on; `gather` reads its output of every branch."""
    steps = steps_of(job)
    depended_on = {name for step in steps.values() for name in step.deps}
    return next(name for name in steps if name not in depended_on)
