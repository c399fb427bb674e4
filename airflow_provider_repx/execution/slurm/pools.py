"""How many jobs of a pool may be with Slurm at once, so that an array's throttle keeps to the pool's size."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from airflow_provider_repx.execution.slurm.elements import Submission
from airflow_provider_repx.execution.slurm.job import PoolShare
from airflow_provider_repx.execution.slurm.parsing import QueuedElement

__all__ = [
    "PoolArray",
    "array_name",
    "arrays_of_pool",
    "foreign_slots",
    "narrower_throttles",
    "room",
    "wider_throttles",
]

_NAME = re.compile(r"repx-([0-9a-f]{8})-(\d+)-[0-9a-f]{16}")


def array_name(share: PoolShare | None) -> str:
    """A new name for an array: it tells pool and slots to every process that sees it in the queue."""
    pool = hashlib.sha256(share.pool.encode()).hexdigest()[:8] if share is not None else "0" * 8
    return f"repx-{pool}-{share.slots if share is not None else 0}-{uuid.uuid4().hex[:16]}"


@dataclass(frozen=True)
class PoolArray:
    """An array of a pool, as the queue shows it: `live` elements of `slots` each, `throttle` of them at once."""

    array_id: str
    name: str
    slots: int
    live: int
    throttle: int | None

    @property
    def committed(self) -> int:
        """How many slots it may take."""
        return self.slots * (self.live if self.throttle is None else min(self.live, self.throttle))


def arrays_of_pool(pool: str, queue: Iterable[QueuedElement]) -> list[PoolArray]:
    """The arrays of a pool in the queue, known by their names, whoever has submitted them."""
    key = hashlib.sha256(pool.encode()).hexdigest()[:8]
    live: Counter[str] = Counter()
    names: dict[str, str] = {}
    throttles: dict[str, int] = {}
    for queued in queue:
        live[queued.array_id] += 1
        names[queued.array_id] = queued.name
        # Only the line of what is pending tells the throttle.
        if queued.throttle is not None:
            throttles[queued.array_id] = queued.throttle
    found = ((number, _NAME.fullmatch(name)) for number, name in names.items())
    return [
        PoolArray(number, names[number], int(name[2]), live[number], throttles.get(number))
        for number, name in found
        if name is not None and name[1] == key
    ]


def foreign_slots(pool: str, queue: Iterable[QueuedElement], own: Container[str]) -> int:
    """The slots that arrays of other processes may take."""
    return sum(array.committed for array in arrays_of_pool(pool, queue) if array.name not in own)


def room(share: PoolShare, submissions: Iterable[Submission], foreign: int) -> int:
    """How many more jobs of this share may run: at least one where nothing of the pool is with Slurm."""
    taken = foreign + sum(submission.committed for submission in submissions)
    free = max(0, share.size - taken) // share.slots
    return free if taken else max(1, free)


def wider_throttles(share: PoolShare, submissions: Sequence[Submission], foreign: int) -> list[tuple[Submission, int]]:
    """The throttles that may grow since others have ended, oldest first; growth below a tenth can wait."""
    free = share.size - foreign - sum(submission.committed for submission in submissions)
    changes: list[tuple[Submission, int]] = []
    for submission in submissions:
        throttle = submission.throttle
        if throttle is None or submission.live <= throttle or not submission.array_id:
            continue
        more = min(free // share.slots, submission.live - throttle)
        if more > 0 and more * 10 >= throttle:
            changes.append((submission, throttle + more))
            free -= more * share.slots
    return changes


def narrower_throttles(
    share: PoolShare, submissions: Iterable[Submission], queue: Iterable[QueuedElement]
) -> list[tuple[Submission, int]]:
    """The throttles that have to shrink because processes that did not see each other have filled a pool twice.

    The array that was submitted last gives way first, down to one element: each process comes to the same conclusion
    from the same queue, and changes its own arrays only. What runs already is left alone.
    """
    own = {submission.array_id: submission for submission in submissions if submission.array_id}
    arrays = [
        replace(array, live=own[array.array_id].live, throttle=own[array.array_id].throttle)
        if array.array_id in own
        else array
        for array in arrays_of_pool(share.pool, queue)
    ]
    excess = sum(array.committed for array in arrays) - share.size
    changes: list[tuple[Submission, int]] = []
    for array in sorted(arrays, key=lambda array: int(array.array_id), reverse=True):
        running = array.committed // max(1, array.slots)
        fewer = min(running - 1, -(-excess // max(1, array.slots)))
        if excess > 0 and fewer > 0:
            excess -= fewer * array.slots
            if array.array_id in own:
                changes.append((own[array.array_id], running - fewer))
    return changes
