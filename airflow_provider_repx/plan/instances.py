"""The task instances that a plan becomes, and those of them that have nothing to do."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from airflow_provider_repx.lab.models import JobId
from airflow_provider_repx.plan.models import PlannedScatterGather, RunPlan

__all__ = ["TaskInstanceKey", "idle_instances", "job_instances"]

TaskInstanceKey = tuple[str, int]
"""A task id and a map index; -1 for a task that is not mapped, as in Airflow."""

_NOT_MAPPED = -1


def job_instances(plan: RunPlan) -> Iterator[tuple[TaskInstanceKey, tuple[JobId, ...]]]:
    """Each task instance of the plan's chains, with its jobs."""
    for chain in plan.chains:
        for stage in chain.stages:
            for index in range(chain.width):
                jobs = tuple(stage.jobs[point] for point in chain.points_of(index))
                yield (stage.task_id, index if chain.width > 1 else _NOT_MAPPED), jobs


def idle_instances(plan: RunPlan, busy: Collection[JobId]) -> tuple[TaskInstanceKey, ...]:
    """The task instances none of whose jobs is among `busy`, the jobs that are to be run.

    Those of a scatter-gather stage only if all of its jobs are idle.
    """
    idle = [key for key, jobs in job_instances(plan) if not any(job in busy for job in jobs)]
    for group in plan.scatter_gathers:
        if not any(job in busy for job in group.jobs):
            idle += _instances(group)
    return tuple(idle)


def _instances(group: PlannedScatterGather) -> Iterator[TaskInstanceKey]:
    ends = (group.scatter.task_id, group.gather.task_id)
    for task_id in group.task_ids:
        if task_id in ends and group.job_width > 1:
            yield from ((task_id, index) for index in range(group.job_width))
        else:
            # Steps are mapped over what their branches turn out to be; until then there is one instance of each.
            yield task_id, _NOT_MAPPED
