"""Slurm jobs as tasks: a user's own commands, and the jobs of a lab's run."""

from __future__ import annotations

from airflow_provider_repx.operators.slurm.command import SlurmOperator
from airflow_provider_repx.operators.slurm.parts import SlurmBranchesOperator, SlurmPartOperator
from airflow_provider_repx.operators.slurm.stage import SlurmRunTaskOperator, SlurmStageOperator
from airflow_provider_repx.operators.slurm.sync import SyncLabOperator

__all__ = [
    "SlurmBranchesOperator",
    "SlurmOperator",
    "SlurmPartOperator",
    "SlurmRunTaskOperator",
    "SlurmStageOperator",
    "SyncLabOperator",
]
