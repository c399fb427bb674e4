"""A run of a lab and a target become a plan: which tasks, over which points, in which order. Pure functions."""

from __future__ import annotations

from airflow_provider_repx.plan.models import (
    Chain,
    PlannedPart,
    PlannedScatterGather,
    PlannedStage,
    PlannedStep,
    PoolPlan,
    RunPlan,
)
from airflow_provider_repx.plan.options import PlanOptions
from airflow_provider_repx.plan.packing import Chunk
from airflow_provider_repx.plan.planner import plan_run
from airflow_provider_repx.plan.slots import pool_limit

__all__ = [
    "Chain",
    "Chunk",
    "PlanOptions",
    "PlannedPart",
    "PlannedScatterGather",
    "PlannedStage",
    "PlannedStep",
    "PoolPlan",
    "RunPlan",
    "plan_run",
    "pool_limit",
]
