"""The tasks of a run whose jobs run on Slurm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from airflow.sdk import DAG, BaseOperator, TriggerRule

from airflow_provider_repx.factory.scatter_gather import PartOperators
from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.operators.slurm import (
    SlurmBranchesOperator,
    SlurmPartOperator,
    SlurmRunTaskOperator,
    SlurmStageOperator,
    SyncLabOperator,
)
from airflow_provider_repx.plan import Chain, PlannedStage
from airflow_provider_repx.targets import Target

__all__ = ["slurm_parts", "slurm_task", "sync_before_jobs", "sync_task"]

SYNC_TASK_ID = "sync"

_ON_WORKERS = ("outlets", "on_success_callback", "execution_timeout")
"""Arguments of a task whose work only a worker does."""


def sync_task(common: Mapping[str, Any]) -> BaseOperator:
    """The task that ships the lab to a target that does not share a file system with this machine."""
    return SyncLabOperator(task_id=SYNC_TASK_ID, **common)


def sync_before_jobs(dag: DAG) -> None:
    """Let every job wait for the lab itself: what is before it may have nothing to do, and then waits for nothing."""
    sync = dag.get_task(SYNC_TASK_ID)
    for task in dag.tasks:
        if isinstance(task, SlurmRunTaskOperator) and SYNC_TASK_ID not in task.upstream_task_ids:
            sync >> task


def slurm_task(
    chain: Chain,
    stage: PlannedStage,
    *,
    trigger_rule: TriggerRule,
    gates: Sequence[BaseOperator],
    settings: LabSettings,
    common: Mapping[str, Any],
) -> BaseOperator:
    """The task of one stage."""
    return SlurmStageOperator(
        task_id=stage.task_id,
        stage=stage.task_id,
        gates=[gate.task_id for gate in gates],
        map_index_template="{{ task.point_label(ti.map_index) }}" if chain.width > 1 else None,
        trigger_rule=trigger_rule,
        **_on_the_cluster(settings, common["target"], stage.pool, stage.slots),
        **common,
    )


def slurm_parts(settings: LabSettings, target: Target) -> PartOperators:
    """What makes the tasks of a scatter-gather stage."""

    def part(
        name: Literal["scatter", "step", "gather"], *, pool: str, pool_slots: int, **arguments: Any
    ) -> BaseOperator:
        return SlurmPartOperator(part=name, **_on_the_cluster(settings, target, pool, pool_slots), **arguments)

    return PartOperators(
        scatter=partial(part, "scatter"),
        branches=SlurmBranchesOperator,
        step=partial(part, "step"),
        gather=partial(part, "gather"),
    )


def _on_the_cluster(settings: LabSettings, target: Target, pool: str, slots: int) -> dict[str, Any]:
    """What every task has whose jobs run on Slurm.

    One that starts from the triggerer draws from no pool: Airflow would not ask it to wait, and a task behind it would
    wait for slots that are never free. Its limit is kept against the cluster's queue instead.
    """
    from_worker = settings.start == "worker" or any(settings.default_args.get(name) for name in _ON_WORKERS)
    return {
        "options": settings.plan_options,
        "start": "worker" if from_worker else settings.start,
        "sync_task": SYNC_TASK_ID if target.is_remote else None,
        "retry_failed_jobs": settings.retry_failed_jobs,
        **({"pool": pool, "pool_slots": slots} if from_worker else {}),
    }
