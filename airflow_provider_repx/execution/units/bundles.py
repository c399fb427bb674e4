"""Which branches one task takes: a map index of a step stands for a bundle of branches, mostly of a single one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_repx.execution.units.unit import Unit, UnitPart
from airflow_provider_repx.execution.units.work_items import WorkItem
from airflow_provider_repx.plan.labels import MAX_LABEL
from airflow_provider_repx.plan.models import PlannedScatterGather

__all__ = ["Branch", "Bundle", "bundled", "part_units", "step_units", "units_before"]


@dataclass(frozen=True)
class Branch:
    """One branch of one job; `job` is the job's position in its group, `label` what people see."""

    job: int
    number: int
    label: str

    @classmethod
    def of(cls, group: PlannedScatterGather, job: int, item: WorkItem) -> Branch:
        """The branch that works on an item; where the group has several jobs, its label tells which one this is."""
        prefix = f"{group.labels[job]} / " if len(group.jobs) > 1 else ""
        return cls(job, item.index, prefix + item.label)


@dataclass(frozen=True)
class Bundle:
    """The branches of one map index, in order."""

    branches: tuple[tuple[int, int], ...]
    label: str

    def to_json(self) -> dict[str, Any]:
        """What an XCom holds: ``{"branches": [[<position of the job>, <branch>], ...], "label": "..."}``."""
        return {"branches": [list(branch) for branch in self.branches], "label": self.label}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Bundle:
        """The opposite of `to_json`."""
        return cls(tuple((int(job), int(number)) for job, number in data["branches"]), str(data["label"]))


def bundled(branches: Sequence[Branch], width: int) -> tuple[Bundle, ...]:
    """The branches in their order, packed evenly into at most `width` bundles."""
    size = -(-len(branches) // width) or 1
    bundles = []
    for first in range(0, len(branches), size):
        some = branches[first : first + size]
        more = f" (+{len(some) - 1})" if len(some) > 1 else ""
        label = some[0].label[: MAX_LABEL - len(more)] + more
        bundles.append(Bundle(tuple((branch.job, branch.number) for branch in some), label))
    return tuple(bundles)


def part_units(group: PlannedScatterGather, part: UnitPart, map_index: int) -> tuple[Unit, ...]:
    """The units of a map index of scatter or gather (-1 for a task that is not mapped)."""
    return tuple(Unit(group.jobs[point], part) for point in group.points_of(map_index))


def step_units(group: PlannedScatterGather, step: str, bundle: Bundle) -> tuple[Unit, ...]:
    """The units of a map index of a step."""
    return tuple(Unit(group.jobs[job], "step", number, step) for job, number in bundle.branches)


def units_before(group: PlannedScatterGather, unit: Unit) -> tuple[Unit, ...]:
    """The steps of the same branch that lead to a step, in order."""
    needed = {unit.step}
    for step in reversed(group.steps):
        if step.name in needed:
            needed.update(step.deps)
    names = [step.name for step in group.steps if step.name in needed and step.name != unit.step]
    return tuple(Unit(unit.job_id, "step", unit.branch, name) for name in names)
