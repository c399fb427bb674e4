"""A plan as text, to be kept between processes. It holds names, numbers and labels, and nothing that could be run."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from airflow_provider_repx.plan.models import (
    Chain,
    PlannedPart,
    PlannedScatterGather,
    PlannedStage,
    PlannedStep,
    PoolPlan,
    RunPlan,
)

__all__ = ["plan_from_text", "plan_to_text"]


def plan_to_text(plan: RunPlan) -> str:
    """The plan as JSON on a single line."""
    return json.dumps(asdict(plan), ensure_ascii=False, separators=(",", ":"))


def plan_from_text(text: str) -> RunPlan:
    """The opposite of `plan_to_text`; raises `ValueError`, `TypeError` or `KeyError` for anything else."""
    data = json.loads(text)
    return RunPlan(
        **{
            **_plain(data),
            "chains": tuple(_chain(chain) for chain in data["chains"]),
            "pools": tuple(PoolPlan(**pool) for pool in data["pools"]),
            "scatter_gathers": tuple(_group(group) for group in data["scatter_gathers"]),
        }
    )


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    """The fields with tuples where JSON has lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


def _chain(data: dict[str, Any]) -> Chain:
    return Chain(**{**_plain(data), "stages": tuple(PlannedStage(**_plain(stage)) for stage in data["stages"])})


def _group(data: dict[str, Any]) -> PlannedScatterGather:
    return PlannedScatterGather(
        **{
            **_plain(data),
            "scatter": PlannedPart(**data["scatter"]),
            "steps": tuple(PlannedStep(**_plain(step)) for step in data["steps"]),
            "gather": PlannedPart(**data["gather"]),
        }
    )
