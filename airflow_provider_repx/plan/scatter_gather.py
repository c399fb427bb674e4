"""Scatter-gather jobs in a plan: how many branches there are is known only once their scatter has run.

While a stage has few jobs, each job has tasks of its own: scatter, branches, steps, gather. A wide stage has them once
for all of its jobs; its steps then are mapped over pairs of job and branch, since Airflow cannot nest mapping.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from airflow_provider_repx.lab.graph import step_order, steps_of
from airflow_provider_repx.lab.models import JobId, Run
from airflow_provider_repx.plan.chunks import Extent
from airflow_provider_repx.plan.models import PlannedPart, PlannedScatterGather, PlannedStep
from airflow_provider_repx.plan.names import UniqueIds
from airflow_provider_repx.plan.slots import Share
from airflow_provider_repx.plan.stages import Stage

__all__ = [
    "MAX_MAP_LENGTH",
    "Fan",
    "branch_width",
    "divided_fans",
    "planned_fan",
    "reserved_for_branches",
]

MAX_MAP_LENGTH = 1024
"""Map indices that Airflow makes of an XCom by default (``core.max_map_length``)."""

_INNER_GROUPS = ("", "__scatters", "__steps", "__gathers")
"""What follows the group id in the ids of the groups that a scatter-gather stage becomes."""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME = 100

_Shape: TypeAlias = tuple[tuple[tuple[str, Share], ...], tuple[tuple[str, tuple[str, ...]], ...]]


@dataclass(frozen=True)
class Fan:
    """Jobs of one scatter-gather stage that share their tasks, with what each executable takes.

    `label` tells a fan of one job from the others of its stage; it is empty where the stage has only one.
    """

    stage: Stage
    jobs: tuple[JobId, ...]
    labels: tuple[str, ...]
    shares: Mapping[str, Share]
    label: str

    @property
    def extent(self) -> Extent:
        """Scatter and gather of each job; the steps come on top of that."""
        return Extent(len(self.jobs), 2)


def divided_fans(
    run: Run,
    stage: Stage,
    points: Sequence[tuple[JobId, str]],
    shares: Mapping[JobId, Mapping[str, Share]],
    max_groups: int,
) -> tuple[Fan, ...]:
    """The fans of one stage: one per job while there are at most `max_groups`, else one for all jobs of equal size.

    `points` are the stage's jobs in their final order, each with its label.
    """
    if len(points) <= max_groups:
        alone = len(points) == 1
        return tuple(Fan(stage, (job,), (label,), shares[job], "" if alone else label) for job, label in points)
    alike: dict[_Shape, list[tuple[JobId, str]]] = {}
    for job, label in points:
        steps = tuple((name, step.deps) for name, step in steps_of(run.jobs[job]).items())
        alike.setdefault((tuple(sorted(shares[job].items())), steps), []).append((job, label))
    fans = []
    for shape in sorted(alike):
        jobs, labels = zip(*alike[shape], strict=True)
        fans.append(Fan(stage, jobs, labels, dict(shape[0]), ""))
    return tuple(fans)


def reserved_for_branches(fans: Sequence[Fan], max_mapped: int, max_task_instances: int, others: int) -> int:
    """How many of a DAG run's task instances are kept for steps.

    As many as they could need, but at most half of all, and none of the `others` that the run cannot do without.
    """
    steps = sum(_steps(fan) for fan in fans)
    return max(0, min(steps * min(max_mapped, MAX_MAP_LENGTH), max_task_instances // 2, max_task_instances - others))


def branch_width(fans: Sequence[Fan], max_mapped: int, left: int) -> int:
    """The map indices of each step, at most, when all steps together may make `left` task instances."""
    steps = sum(_steps(fan) for fan in fans)
    return max(1, min(max_mapped, MAX_MAP_LENGTH, left // steps)) if steps else 1


def planned_fan(
    fan: Fan, run: Run, ids: UniqueIds, *, upstream: tuple[str, ...], chunk: int, width: int
) -> PlannedScatterGather:
    """The tasks of a fan, with ids that no other task of the run has."""
    job = run.jobs[fan.jobs[0]]
    group_id = _claimed(_FORBIDDEN.sub("_", fan.stage.task_id[:_MAX_NAME]), ids)

    def part(executable: str) -> PlannedPart:
        share = fan.shares[executable]
        return PlannedPart(ids.claim(f"{group_id}.{executable}"), share.pool, share.slots)

    def step(name: str) -> PlannedStep:
        share = fan.shares[f"step-{name}"]
        task_id = ids.claim(f"{group_id}.step-{_FORBIDDEN.sub('_', name[:_MAX_NAME])}")
        return PlannedStep(task_id, share.pool, share.slots, name, steps_of(job)[name].deps)

    return PlannedScatterGather(
        group_id=group_id,
        stage=fan.stage.name,
        pipeline=fan.stage.pipeline,
        jobs=fan.jobs,
        labels=fan.labels,
        label=fan.label,
        upstream=upstream,
        scatter=part("scatter"),
        branches_task_id=ids.claim(f"{group_id}.branches"),
        steps=tuple(map(step, step_order(job))),
        gather=part("gather"),
        chunk=chunk,
        width=width,
    )


def _claimed(wanted: str, ids: UniqueIds) -> str:
    """A group id that is free, and with it those of the mapped groups inside."""
    chosen, number = wanted, 1
    while any(ids.would_change(chosen + suffix) for suffix in _INNER_GROUPS):
        number += 1
        chosen = f"{wanted}__{number}"
    for suffix in _INNER_GROUPS:
        ids.claim(chosen + suffix)
    return chosen


def _steps(fan: Fan) -> int:
    return sum(name.startswith("step-") for name in fan.shares)
