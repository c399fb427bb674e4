"""A planned scatter-gather stage becomes a task group: scatter, branches, the steps mapped over these, gather."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.sdk import BaseOperator, TaskGroup, TriggerRule, XComArg, task_group

from airflow_provider_repx.operators.scatter_gather import (
    BranchesOperator,
    GatherOperator,
    ScatterOperator,
    StepOperator,
)
from airflow_provider_repx.plan import PlannedPart, PlannedScatterGather

__all__ = ["PartOperators", "ScatterGatherTasks", "build_scatter_gather"]


@dataclass(frozen=True)
class PartOperators:
    """What makes the tasks of a group: classes, or functions with the arguments of these. By default those that run on
    workers, on their own machine.
    """

    scatter: Callable[..., BaseOperator] = ScatterOperator
    branches: Callable[..., BaseOperator] = BranchesOperator
    step: Callable[..., BaseOperator] = StepOperator
    gather: Callable[..., BaseOperator] = GatherOperator


@dataclass(frozen=True)
class ScatterGatherTasks:
    """The tasks of a group; `scatter` waits for what is upstream, and what is downstream waits for `gather`."""

    scatter: BaseOperator
    gather: BaseOperator
    all: tuple[BaseOperator, ...]


@dataclass(frozen=True)
class _Builder:
    group: PlannedScatterGather
    common: Mapping[str, Any]
    rule: TriggerRule
    make: PartOperators

    def build(self) -> ScatterGatherTasks:
        name = f"{self.group.group_id} ({self.group.label})" if self.group.label else self.group.group_id
        with TaskGroup(self.group.group_id, prefix_group_id=False, group_display_name=name):
            scatter = self._over_jobs(self.group.scatter, self.make.scatter, "scatters", self.rule)
            branches = self.make.branches(
                task_id=self.group.branches_task_id,
                task_display_name="branches",
                # Of several jobs, those whose scatter is done go on.
                trigger_rule=TriggerRule.ALL_SUCCESS if len(self.group.jobs) == 1 else TriggerRule.ALL_DONE,
                **self.common,
            )
            scatter >> branches
            steps = self._steps(branches)
            gather = self._over_jobs(self.group.gather, self.make.gather, "gathers", TriggerRule.ALL_DONE)
            [branches, *steps] >> gather
        return ScatterGatherTasks(scatter, gather, (scatter, branches, *steps, gather))

    def _over_jobs(
        self, part: PlannedPart, operator: Callable[..., BaseOperator], suffix: str, rule: TriggerRule
    ) -> BaseOperator:
        """One plain task for a single job, a mapped one for several."""
        mapped = self.group.job_width > 1
        settings: dict[str, Any] = {
            **self._settings(part),
            "trigger_rule": rule,
            "map_index_template": "{{ task.point_label(ti.map_index) }}" if mapped else None,
        }
        if not mapped:
            return operator(**settings)
        tasks: list[BaseOperator] = []

        @task_group(group_id=f"{self.group.group_id}__{suffix}", prefix_group_id=False)
        def jobs(index: int) -> None:  # noqa: ARG001 - the tasks read their index from the task instance
            tasks.append(operator(**settings))

        jobs.expand(index=list(range(self.group.job_width)))
        return tasks[0]

    def _steps(self, branches: BaseOperator) -> list[BaseOperator]:
        tasks: dict[str, BaseOperator] = {}

        @task_group(group_id=f"{self.group.group_id}__steps", prefix_group_id=False)
        def steps(bundle: Any) -> None:  # noqa: ARG001 - the tasks find their bundle by the map index
            for step in self.group.steps:
                tasks[step.name] = self.make.step(
                    step=step.name, map_index_template="{{ task.branch_label(ti) }}", **self._settings(step)
                )
                for name in step.deps:
                    tasks[name] >> tasks[step.name]

        steps.expand(bundle=XComArg(branches))
        return list(tasks.values())

    def _settings(self, part: PlannedPart) -> dict[str, Any]:
        return {
            **self.common,
            "task_id": part.task_id,
            "task_display_name": part.task_id.removeprefix(f"{self.group.group_id}."),
            "pool": part.pool,
            "pool_slots": part.slots,
        }


def build_scatter_gather(
    group: PlannedScatterGather,
    rule: TriggerRule,
    *,
    gates: Sequence[str],
    common: Mapping[str, Any],
    operators: PartOperators = PartOperators(),
) -> ScatterGatherTasks:
    """Build the tasks of a planned scatter-gather stage, in the current DAG.

    `rule` is the trigger rule of scatter, `gates` the tasks that must have succeeded before any job of the run, and
    `common` what every task of the run is made with.
    """
    return _Builder(group, {**common, "group": group.group_id, "gates": list(gates)}, rule, operators).build()
