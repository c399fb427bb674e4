"""How many points one task takes, so that a DAG run stays within what the scheduler can hold.

One scheduling decision costs time that grows with the square of a run's width, so very wide sweeps are packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_repx.errors import PlanError

__all__ = ["Extent", "chunk_sizes"]


@dataclass(frozen=True)
class Extent:
    """The size of a chain: its sweep points, the tasks of each, and how many points one task takes at `least`."""

    points: int
    tasks: int
    least: int = 1

    def chunk(self, width: int) -> int:
        """The smallest number of points per map index that is asked for and needs at most `width` map indices."""
        return max(self.least, -(-self.points // width))

    def task_instances(self, width: int) -> int:
        """How many task instances the chain makes when it has at most `width` map indices."""
        return -(-self.points // self.chunk(width)) * self.tasks


def chunk_sizes(chains: Sequence[Extent], *, max_mapped: int, max_task_instances: int, run: str) -> tuple[int, ...]:
    """The points that one map index of each chain takes, the chains sharing the limits.

    No chain has more than `max_mapped` map indices. Where all chains together would make more than `max_task_instances`
    task instances, the widest chains are narrowed to one common width that fits. Raises `PlanError` when the run has
    more tasks than that even with one map index per chain.
    """
    for name, limit in (("max_mapped", max_mapped), ("max_task_instances", max_task_instances)):
        if limit < 1:
            raise PlanError(f"run {run}: {name} is {limit}, but has to be at least 1.")

    def total(width: int) -> int:
        return sum(chain.task_instances(width) for chain in chains)

    if total(1) > max_task_instances:
        raise PlanError(
            f"run {run}: has {total(1)} tasks, more than the {max_task_instances} task instances that one DAG run may "
            f"hold. Divide the run into several."
        )
    fits, too_wide = 1, max_mapped + 1
    while too_wide - fits > 1:
        width = (fits + too_wide) // 2
        if total(width) <= max_task_instances:
            fits = width
        else:
            too_wide = width
    return tuple(chain.chunk(fits) for chain in chains)
