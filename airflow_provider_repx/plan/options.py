"""What a plan depends on besides lab and target, in a form that travels: tasks plan again where they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_repx.plan.models import RunPlan
from airflow_provider_repx.plan.packing import Chunk
from airflow_provider_repx.plan.planner import DEFAULT_MAX_MAPPED, plan_run
from airflow_provider_repx.targets import ResourceRules, Target, load_resource_rules

if TYPE_CHECKING:
    from airflow_provider_repx.lab import Lab

__all__ = ["PlanOptions"]


class PlanOptions(BaseModel):
    """The options of a plan; see `plan_run`. `resources_file` is a `resources.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_mapped: int = Field(default=DEFAULT_MAX_MAPPED, ge=1)
    chunk: Chunk = 1
    resources_file: Path | None = None

    def rules(self) -> ResourceRules:
        """The rules of the file as they are now; raises `TargetError`."""
        return load_resource_rules([self.resources_file]) if self.resources_file else ResourceRules()

    def plan(self, lab: Lab, run: str, target: Target, rules: ResourceRules | None = None) -> RunPlan:
        """Plan a run; raises like `plan_run` and `rules`. `rules` spares reading the file again."""
        return plan_run(
            lab,
            run,
            target,
            rules=self.rules() if rules is None else rules,
            max_mapped=self.max_mapped,
            chunk=self.chunk,
        )
