"""Slurm jobs awaited in the triggerer: one trigger per task instance, one cluster object for all of them."""

from __future__ import annotations

from airflow_provider_repx.triggers.slurm.command import SlurmCommandTrigger
from airflow_provider_repx.triggers.slurm.command_request import CommandRequest
from airflow_provider_repx.triggers.slurm.part import SlurmPartTrigger
from airflow_provider_repx.triggers.slurm.stage import LAB_ROOT_KEY, SlurmStageTrigger
from airflow_provider_repx.triggers.slurm.stage_request import StageRequest
from airflow_provider_repx.triggers.slurm.verdict import Verdict

__all__ = [
    "LAB_ROOT_KEY",
    "CommandRequest",
    "SlurmCommandTrigger",
    "SlurmPartTrigger",
    "SlurmStageTrigger",
    "StageRequest",
    "Verdict",
]
