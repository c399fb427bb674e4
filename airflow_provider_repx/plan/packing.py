"""Several points in one task: how many, and how many of their jobs run at once.

A task costs Airflow half a second of processor time; a job may cost milliseconds. So users can have points packed:
``chunk = N``, or ``auto``, which decides by the number of points, the size of the pool and the jobs' time limits, all
of which a lab and a target tell. How long jobs really take is in the output store, which planning never reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

__all__ = ["Chunk", "Packing", "SlotDemand"]

Chunk: TypeAlias = Literal["auto"] | Annotated[int, Field(ge=1)]
"""What users ask for: so many points per task, or `auto`."""

_LEFT_ALONE = 32
"""Points up to which `auto` gives each job a task of its own: that many tasks start within seconds."""

_ROUNDS = 4
"""How often `auto` fills the pool: few tasks, and yet the last ones to end do not leave most of the pool idle."""

_LONGEST = 3600
"""Seconds that `auto` lets a task take at most, by its jobs' time limits."""

_PART_OF_POOL = 4
"""A task takes at most one part in so many of its pool, so that others start beside it."""


@dataclass(frozen=True)
class SlotDemand:
    """What one job of a stage takes: `slots` of a pool that has `pool_slots` (`None`: not known)."""

    slots: int
    pool_slots: int | None

    @property
    def at_once(self) -> int:
        """How many such jobs one task may run at once."""
        return 1 if self.pool_slots is None else max(1, self.pool_slots // (_PART_OF_POOL * self.slots))

    @property
    def tasks_at_once(self) -> int:
        """How many tasks that each run `at_once` jobs fit the pool."""
        return 1 if self.pool_slots is None else max(1, self.pool_slots // (self.slots * self.at_once))


@dataclass(frozen=True)
class Packing:
    """How points are packed. `in_parallel`: tasks run their jobs themselves, and so may run several at once."""

    chunk: Chunk = 1
    in_parallel: bool = False

    def least(self, points: int, shares: Iterable[SlotDemand], time_limits: Iterable[int | None]) -> int:
        """How many points of a chain one task takes at least.

        `shares` are those of the chain's stages, `time_limits` the distinct ones of its jobs in seconds. `auto` packs
        only what tasks run themselves.
        """
        if self.chunk != "auto":
            return min(self.chunk, points)
        if not self.in_parallel or points <= _LEFT_ALONE:
            return 1
        widest = max(shares, key=lambda share: share.slots)
        wanted = -(-points // (_ROUNDS * widest.tasks_at_once))
        longest = max((limit for limit in time_limits if limit), default=0)
        if longest:
            wanted = min(wanted, max(1, _LONGEST * widest.at_once // longest))
        return wanted

    def parallel(self, chunk: int, share: SlotDemand) -> int:
        """How many jobs of a stage a task with `chunk` points runs at once: as many as fit in full rounds."""
        if not self.in_parallel or chunk == 1:
            return 1
        rounds = -(-chunk // min(chunk, share.at_once))
        return -(-chunk // rounds)
