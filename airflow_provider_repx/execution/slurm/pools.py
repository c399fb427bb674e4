"""How many jobs of a pool may be with Slurm at once, so that an array's throttle keeps to the pool's size."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence

from airflow_provider_repx.execution.slurm.elements import Submission
from airflow_provider_repx.execution.slurm.job import PoolShare
from airflow_provider_repx.execution.slurm.parsing import QueuedElement

__all__ = ["array_name", "foreign_slots", "room", "wider_throttles"]

_NAME = re.compile(r"repx-([0-9a-f]{8})-(\d+)-[0-9a-f]{16}")


def array_name(share: PoolShare | None) -> str:
    """A new name for an array: it tells pool and slots to every process that sees it in the queue."""
    pool = hashlib.sha256(share.pool.encode()).hexdigest()[:8] if share is not None else "0" * 8
    return f"repx-{pool}-{share.slots if share is not None else 0}-{uuid.uuid4().hex[:16]}"


def foreign_slots(pool: str, queue: Iterable[QueuedElement], own: set[str]) -> int:
    """The slots that arrays of other processes may take, by their names and throttles in the queue."""
    key = hashlib.sha256(pool.encode()).hexdigest()[:8]
    live: dict[str, int] = defaultdict(int)
    throttles: dict[str, int] = {}
    slots: dict[str, int] = {}
    for queued in queue:
        found = _NAME.fullmatch(queued.name)
        if found is None or found[1] != key or queued.name in own:
            continue
        live[queued.array_id] += 1
        slots[queued.array_id] = int(found[2])
        if queued.throttle is not None:
            throttles[queued.array_id] = queued.throttle
    return sum(min(count, throttles.get(number, count)) * slots[number] for number, count in live.items())


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
