"""A run of a lab and a target become a plan: which tasks, over which points, in which order. Pure functions."""

from __future__ import annotations

from airflow_provider_repx.plan.models import Chain, PlannedStage, PoolPlan, RunPlan
from airflow_provider_repx.plan.planner import plan_run
from airflow_provider_repx.plan.summary import StageRow, describe, markdown_table

__all__ = ["Chain", "PlannedStage", "PoolPlan", "RunPlan", "StageRow", "describe", "markdown_table", "plan_run"]
