"""Task ids and group ids: readable, unique in their DAG, and made of the characters that Airflow allows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["Nameable", "UniqueIds", "group_id_for", "task_ids"]

MAX_LENGTH = 120
"""Characters of an id. A task in a group is known by both ids joined, and Airflow allows 250 for the two together."""

_RESERVED = frozenset({"open_lab", "summary", "sync"})
_RESERVED_PREFIX = "wait_for_"
_FORBIDDEN_IN_TASK = re.compile(r"[^A-Za-z0-9_.-]+")
_FORBIDDEN_IN_GROUP = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Nameable:
    """What a stage's task id is made from: its name, its pipeline, and the names of the stages that it reads from."""

    name: str
    pipeline: str | None
    upstream: tuple[str, ...]


@dataclass
class UniqueIds:
    """The ids that are taken in one DAG."""

    taken: set[str] = field(default_factory=set)

    def would_change(self, wanted: str) -> bool:
        """Whether `claim` would give another id than the wanted one."""
        return shortened(wanted) != wanted or wanted in self.taken

    def claim(self, wanted: str) -> str:
        """The wanted id, numbered if it is taken already; it is taken from now on."""
        wanted = shortened(wanted)
        chosen = wanted
        number = 1
        while chosen in self.taken:
            number += 1
            chosen = shortened(wanted, f"__{number}")
        self.taken.add(chosen)
        return chosen


def task_ids(stages: Sequence[Nameable]) -> list[str]:
    """A unique task id for each stage.

    A stage is called by its name. Stages of one name are called by pipeline and name, then by what they read from, and
    what is still not unique is numbered in the order given.
    """
    forms: tuple[Callable[[Nameable], str], ...] = (
        lambda stage: _safe(stage.name),
        lambda stage: _safe(f"{stage.pipeline}__{stage.name}" if stage.pipeline else stage.name),
        lambda stage: _safe(f"{stage.name}__from_{'_and_'.join(stage.upstream)}" if stage.upstream else stage.name),
    )
    ids = [forms[0](stage) for stage in stages]
    for form in forms[1:]:
        counts = Counter(ids)
        ids = [form(stage) if counts[current] > 1 else current for stage, current in zip(stages, ids, strict=True)]
    counts = Counter(ids)
    unique = UniqueIds({current for current, count in counts.items() if count == 1})
    return [current if counts[current] == 1 else unique.claim(current) for current in ids]


def group_id_for(first_task_id: str) -> str:
    """What the task group of a chain is called, after its first task: group ids may not contain dots."""
    return _FORBIDDEN_IN_GROUP.sub("_", shortened(first_task_id, "__points"))


def shortened(name: str, suffix: str = "") -> str:
    """The name with the suffix, cut so that both fit."""
    return name[: MAX_LENGTH - len(suffix)] + suffix


def _safe(name: str) -> str:
    safe = shortened(_FORBIDDEN_IN_TASK.sub("_", name)) or "_"
    if safe in _RESERVED or safe.startswith(_RESERVED_PREFIX):
        return shortened(f"stage_{safe}")
    return safe
