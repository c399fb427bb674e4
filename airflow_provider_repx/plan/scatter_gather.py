"""The planner's word on scatter-gather jobs: this version refuses them."""

from __future__ import annotations

from airflow_provider_repx.errors import PlanError
from airflow_provider_repx.lab.models import Run
from airflow_provider_repx.plan.stages import Stages

__all__ = ["refuse_scatter_gather"]


def refuse_scatter_gather(run: Run, stages: Stages) -> None:
    """Raise `PlanError`, naming run and stages, if the run has scatter-gather jobs.

    Their branches are known only once their scatter has run, which a plan of tasks per job cannot express.
    """
    found = [stage.name for stage in stages.all if run.jobs[stage.jobs[0]].stage_type == "scatter-gather"]
    if found:
        raise PlanError(
            f"run {run.name}: stage {', '.join(found)}: scatter-gather stages are not scheduled yet by this version. "
            f"Run this run with RepX itself, or leave it out of the DAGs."
        )
