"""From a run's plan to its DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param, TriggerRule, task_group

from airflow_provider_repx.assets import run_asset
from airflow_provider_repx.factory.documentation import describe_run
from airflow_provider_repx.factory.names import airflow_id
from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.lab import Lab
from airflow_provider_repx.operators.base import OPEN_LAB_TASK_ID
from airflow_provider_repx.operators.job import RepxJobOperator
from airflow_provider_repx.operators.open_lab import OpenLabOperator
from airflow_provider_repx.operators.summary import RunSummaryOperator
from airflow_provider_repx.plan import Chain, PlannedStage, RunPlan
from airflow_provider_repx.sensors.run import RepxRunSensor
from airflow_provider_repx.targets import Target

__all__ = ["build_run_dag"]

_MAX_ACTIVE_TASKS = 3000
_MAX_TAG = 100
"""Characters of a tag that Airflow stores."""


@dataclass(frozen=True)
class _Builder:
    lab: Lab
    plan: RunPlan
    settings: LabSettings
    common: Mapping[str, Any]
    gates: Sequence[BaseOperator]

    def chain(self, chain: Chain) -> list[BaseOperator]:
        """The chain's tasks: plain for a single point, else in a mapped task group."""
        if chain.width == 1:
            return self._tasks(chain)
        tasks: list[BaseOperator] = []

        @task_group(group_id=chain.group_id, prefix_group_id=False)
        def points(index: int) -> None:  # noqa: ARG001 - the tasks read their index from the task instance
            tasks.extend(self._tasks(chain))

        points.expand(index=list(range(chain.width)))
        return tasks

    def _tasks(self, chain: Chain) -> list[BaseOperator]:
        tasks: dict[str, BaseOperator] = {}
        for stage in chain.stages:
            task = RepxJobOperator(
                task_id=stage.task_id,
                stage=stage.task_id,
                gates=[gate.task_id for gate in self.gates],
                retry_failed_jobs=self.settings.retry_failed_jobs,
                pool=stage.pool,
                pool_slots=stage.slots,
                map_index_template="{{ task.point_label(ti.map_index) }}" if chain.width > 1 else None,
                trigger_rule=self._trigger_rule(chain, stage),
                **self.common,
            )
            for upstream in stage.upstream:
                if upstream in tasks:
                    tasks[upstream] >> task
            tasks[stage.task_id] = task
        return list(tasks.values())

    def _trigger_rule(self, chain: Chain, stage: PlannedStage) -> TriggerRule:
        """Follow Airflow's own states where they are exact, look at the store where they are not.

        Within a chain of unpacked points, and behind a single job that all of the stage's jobs read from, success
        upstream is what a point needs. Behind other points, or in a task that holds several, one failure must not stop
        the rest: such tasks run once everything upstream has ended, and skip the jobs whose producers are not done.
        """
        within = {other.task_id for other in chain.stages} if chain.chunk == 1 else set()
        exact = all(upstream in within or self._needed_by_all(upstream, stage) for upstream in stage.upstream)
        return TriggerRule.ALL_SUCCESS if exact else TriggerRule.ALL_DONE

    def _needed_by_all(self, upstream: str, stage: PlannedStage) -> bool:
        producers = self.plan.stages[upstream].jobs
        jobs = self.lab.run(self.plan.run).jobs
        return len(producers) == 1 and all(producers[0] in jobs[job].producers for job in stage.jobs)


def build_run_dag(
    dag_id: str,
    lab: Lab,
    plan: RunPlan,
    target: Target,
    settings: LabSettings,
    upstream_dag_ids: Mapping[str, str],
) -> DAG:
    """Build the DAG of one run.

    `upstream_dag_ids` names the DAG of each run that this one depends on. The first task pins the lab, sensors wait
    for hard dependencies, jobs follow, and the last task judges the whole.
    """
    run = lab.run(plan.run)
    groups = [group for group, members in sorted(lab.groups.items()) if plan.run in members]
    tags = ["repx", f"lab:{settings.name}", *(f"group:{group}" for group in groups)]
    dag = DAG(
        dag_id=dag_id,
        description=f"Run {plan.run} of RepX lab {settings.name}",
        schedule=None,
        doc_md=describe_run(lab, run, plan, settings),
        tags=[tag[:_MAX_TAG] for tag in tags],
        params=_params(),
        max_active_tasks=_MAX_ACTIVE_TASKS,
        is_paused_upon_creation=False,
        default_args={
            "owner": "repx",
            "retries": settings.retries,
            "retry_delay": timedelta(seconds=settings.retry_delay),
            # A small pool then works on the same sweep point until it is done.
            "weight_rule": "upstream",
            **settings.default_args,
        },
    )
    common = {"lab": lab, "lab_name": settings.name, "plan": plan, "target": target}
    with dag:
        first = OpenLabOperator(task_id=OPEN_LAB_TASK_ID, **common)
        sensors = [
            RepxRunSensor(
                task_id=f"wait_for_{airflow_id(upstream)}",
                external_dag_id=upstream_dag_ids[upstream],
                lab=lab,
                lab_name=settings.name,
                run=upstream,
                target=target,
                store_poll_interval=settings.poll_interval,
            )
            for upstream in plan.hard_dependencies
        ]
        if sensors:
            first >> sensors
        _connect(_Builder(lab, plan, settings, common, sensors or [first]))
    return dag


def _connect(builder: _Builder) -> None:
    tasks: dict[str, BaseOperator] = {}
    for chain in builder.plan.chains:
        tasks |= {task.task_id: task for task in builder.chain(chain)}
    for stage in builder.plan.stages.values():
        task = tasks[stage.task_id]
        for upstream in stage.upstream:
            if upstream not in task.upstream_task_ids:
                tasks[upstream] >> task
        if not stage.upstream:
            builder.gates >> task
    summary = RunSummaryOperator(
        task_id="summary",
        trigger_rule=TriggerRule.ALL_DONE,
        retries=0,
        outlets=[run_asset(builder.settings.name, builder.plan.run)],
        **builder.common,
    )
    list(tasks.values()) >> summary if tasks else builder.gates >> summary


def _params() -> dict[str, Param]:
    return {
        "force": Param(False, type="boolean", title="Force", description="Run jobs again that are done already."),
        "continue_on_failure": Param(
            True,
            type="boolean",
            title="Continue on failure",
            description="When a job fails, go on with those that do not depend on it. Off: start no further jobs.",
        ),
        "jobs": Param(
            [],
            type="array",
            items={"type": "string"},
            title="Jobs",
            description="Only these jobs and what they depend on: job ids, their beginnings, stages, or patterns"
            " like *-simulate-*. Empty: all.",
        ),
    }
