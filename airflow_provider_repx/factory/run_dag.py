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
from airflow_provider_repx.factory.params import (
    continue_param,
    downstream_param,
    force_param,
    jobs_param,
    keep_params_on_dag,
    on_missing_param,
)
from airflow_provider_repx.factory.recorded_settings import recorded_settings
from airflow_provider_repx.factory.scatter_gather import PartOperators, ScatterGatherTasks, build_scatter_gather
from airflow_provider_repx.factory.schedules import active_runs_limit, schedule_of
from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.factory.slurm_tasks import slurm_parts, slurm_task, sync_before_jobs, sync_task
from airflow_provider_repx.lab import JobId, Lab
from airflow_provider_repx.operators.base import OPEN_LAB_TASK_ID
from airflow_provider_repx.operators.job import RepxJobOperator
from airflow_provider_repx.operators.open_lab import OpenLabOperator
from airflow_provider_repx.operators.summary import RunSummaryOperator
from airflow_provider_repx.plan import Chain, PlannedScatterGather, PlannedStage, RunPlan
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
            task = self._task(chain, stage)
            for upstream in stage.upstream:
                if upstream in tasks:
                    tasks[upstream] >> task
            tasks[stage.task_id] = task
        return list(tasks.values())

    def _task(self, chain: Chain, stage: PlannedStage) -> BaseOperator:
        rule = self._trigger_rule(chain, stage)
        if self.common["target"].scheduler == "slurm":
            return slurm_task(
                chain, stage, trigger_rule=rule, gates=self.gates, settings=self.settings, common=self.common
            )
        return RepxJobOperator(
            task_id=stage.task_id,
            stage=stage.task_id,
            gates=[gate.task_id for gate in self.gates],
            retry_failed_jobs=self.settings.retry_failed_jobs,
            pool=stage.pool,
            pool_slots=stage.slots * stage.parallel,
            map_index_template="{{ task.point_label(ti.map_index) }}" if chain.width > 1 else None,
            trigger_rule=rule,
            **self.common,
        )

    def scatter_gather(self, group: PlannedScatterGather) -> ScatterGatherTasks:
        """The task group of a scatter-gather stage, or of one job of it."""
        target = self.common["target"]
        on_slurm = target.scheduler == "slurm"
        exact = all(self._needed_by_all(upstream, group.jobs) for upstream in group.upstream)
        return build_scatter_gather(
            group,
            _rule(exact=exact, upstream=group.upstream),
            gates=[gate.task_id for gate in self.gates],
            common=self.common if on_slurm else {**self.common, "retry_failed_jobs": self.settings.retry_failed_jobs},
            operators=slurm_parts(self.settings, target) if on_slurm else PartOperators(),
        )

    def _trigger_rule(self, chain: Chain, stage: PlannedStage) -> TriggerRule:
        """Follow Airflow's own states where they are exact, look at the store where they are not.

        Within a chain of unpacked points, and behind a single job that all of the stage's jobs read from, a failure
        upstream means that a point cannot run; a task skipped there had nothing to do, or says so in the store. Behind
        other points, or in a task that holds several, one failure must not stop the rest: such tasks run once
        everything upstream has ended, and skip the jobs whose producers are not done.
        """
        within = {other.task_id for other in chain.stages} if chain.chunk == 1 else set()
        exact = all(upstream in within or upstream in stage.sole_upstream for upstream in stage.upstream)
        return _rule(exact=exact, upstream=stage.upstream)

    def _needed_by_all(self, upstream: str, needing: Sequence[JobId]) -> bool:
        producers = self.plan.jobs_of[upstream]
        jobs = self.lab.run(self.plan.run).jobs
        return len(producers) == 1 and all(producers[0] in jobs[job].producers for job in needing)


def _rule(*, exact: bool, upstream: Sequence[str]) -> TriggerRule:
    """The trigger rule of a task behind gates, or behind others with jobs; `exact` as in `_Builder._trigger_rule`."""
    if not upstream:
        return TriggerRule.ALL_SUCCESS
    return TriggerRule.NONE_FAILED if exact else TriggerRule.ALL_DONE


def build_run_dag(
    dag_id: str,
    lab: Lab,
    plan: RunPlan,
    target: Target,
    settings: LabSettings,
    upstream_dag_ids: Mapping[str, str],
    *,
    documented: bool = True,
) -> DAG:
    """Build the DAG of one run.

    `upstream_dag_ids` names the DAG of each run that this one depends on. The first task pins the lab, sensors wait
    for hard dependencies, jobs follow, and the last task judges the whole. Unless `documented`, the DAG does not tell
    about its run, which then need not be read.
    """
    groups = [group for group, members in sorted(lab.groups.items()) if plan.run in members]
    tags = ["repx", f"lab:{settings.name}", *(f"group:{group}" for group in groups)]
    schedule = schedule_of(settings.schedules.get(plan.run), f"lab {settings.name!r}: schedules: {plan.run}")
    dag = DAG(
        dag_id=dag_id,
        description=f"Run {plan.run} of RepX lab {settings.name}",
        schedule=schedule,
        **active_runs_limit(schedule),
        catchup=False,
        doc_md=describe_run(lab, lab.run(plan.run), plan, settings) if documented else None,
        tags=[tag[:_MAX_TAG] for tag in tags],
        params=_params(plan, settings),
        max_active_tasks=_MAX_ACTIVE_TASKS,
        is_paused_upon_creation=schedule is not None,
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
        first = OpenLabOperator(
            task_id=OPEN_LAB_TASK_ID,
            doc_json=recorded_settings(settings),
            # Provenance: a soft dependency is no edge, and waits for nothing.
            inlets=[run_asset(settings.name, upstream) for upstream in plan.soft_dependencies],
            **common,
        )
        sensors = [
            RepxRunSensor(
                task_id=f"wait_for_{airflow_id(upstream)}",
                external_dag_id=upstream_dag_ids[upstream],
                lab=lab,
                lab_name=settings.name,
                run=upstream,
                target=target,
                on_missing=settings.on_missing,
                store_poll_interval=settings.poll_interval,
                inlets=[run_asset(settings.name, upstream)],
            )
            for upstream in plan.hard_dependencies
        ]
        gates: list[BaseOperator] = [*sensors, *([sync_task(common)] if target.is_remote else [])]
        if gates:
            first >> gates
        _connect(_Builder(lab, plan, settings, common, gates or [first]))
        if target.is_remote:
            sync_before_jobs(dag)
    keep_params_on_dag(dag)
    return dag


def _connect(builder: _Builder) -> None:
    tasks: dict[str, BaseOperator] = {}
    for chain in builder.plan.chains:
        tasks |= {task.task_id: task for task in builder.chain(chain)}
    everything = list(tasks.values())
    for group in builder.plan.scatter_gathers:
        built = builder.scatter_gather(group)
        tasks[group.scatter.task_id], tasks[group.gather.task_id] = built.scatter, built.gather
        everything += built.all
    for group in builder.plan.scatter_gathers:
        for upstream in group.upstream:
            tasks[upstream] >> tasks[group.scatter.task_id]
        if not group.upstream:
            builder.gates >> tasks[group.scatter.task_id]
    for stage in builder.plan.stages.values():
        task = tasks[stage.task_id]
        for upstream in stage.upstream:
            if upstream not in task.upstream_task_ids:
                tasks[upstream] >> task
        if not stage.upstream:
            builder.gates >> task
    summary = RunSummaryOperator(
        task_id="summary",
        rules=builder.settings.plan_options.rules(),
        trigger_rule=TriggerRule.ALL_DONE,
        retries=0,
        outlets=[run_asset(builder.settings.name, builder.plan.run)],
        **builder.common,
    )
    everything >> summary if everything else builder.gates >> summary


def _params(plan: RunPlan, settings: LabSettings) -> dict[str, Param]:
    params = {
        "jobs": jobs_param(),
        "downstream": downstream_param(),
        "force": force_param("Run jobs again that are done already. With jobs given: those and what depends on them."),
        "continue_on_failure": continue_param(
            "When a job fails, go on with those that do not depend on it. Off: start no further jobs."
        ),
    }
    if plan.hard_dependencies:
        params["on_missing"] = on_missing_param(settings.on_missing)
    return params
