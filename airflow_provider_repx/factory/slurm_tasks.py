"""The tasks of a run whose jobs run on Slurm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import DAG, BaseOperator, TriggerRule

from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.operators.slurm import SlurmStageOperator, SyncLabOperator
from airflow_provider_repx.plan import Chain, PlannedStage

__all__ = ["slurm_task", "sync_before_jobs", "sync_task"]

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
        if isinstance(task, SlurmStageOperator) and SYNC_TASK_ID not in task.upstream_task_ids:
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
    """The task of one stage.

    One that starts from the triggerer draws from no pool: Airflow would not ask it to wait, and a task behind it would
    wait for slots that are never free. Its limit is kept against the cluster's queue instead.
    """
    from_worker = settings.start == "worker" or any(settings.default_args.get(name) for name in _ON_WORKERS)
    pool = {"pool": stage.pool, "pool_slots": stage.slots} if from_worker else {}
    target = common["target"]
    return SlurmStageOperator(
        task_id=stage.task_id,
        stage=stage.task_id,
        options=settings.plan_options,
        start="worker" if from_worker else settings.start,
        gates=[gate.task_id for gate in gates],
        sync_task=SYNC_TASK_ID if target.is_remote else None,
        retry_failed_jobs=settings.retry_failed_jobs,
        map_index_template="{{ task.point_label(ti.map_index) }}" if chain.width > 1 else None,
        trigger_rule=trigger_rule,
        **pool,
        **common,
    )
