"""The whole way from a run of a lab to its plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_repx.lab.parsing import collection_paused
from airflow_provider_repx.plan.chains import Limits, divided, fanned, planned
from airflow_provider_repx.plan.links import link_stages
from airflow_provider_repx.plan.models import RunPlan
from airflow_provider_repx.plan.packing import Chunk, Packing
from airflow_provider_repx.plan.slots import part_shares, shares
from airflow_provider_repx.plan.stages import find_stages
from airflow_provider_repx.plan.values import known_values
from airflow_provider_repx.targets.models import Target
from airflow_provider_repx.targets.resources import ResourceRules
from airflow_provider_repx.targets.support import require_supported

if TYPE_CHECKING:
    from airflow_provider_repx.lab.lab import Lab

__all__ = ["DEFAULT_MAX_GROUPS", "DEFAULT_MAX_MAPPED", "DEFAULT_MAX_TASK_INSTANCES", "plan_run"]

DEFAULT_MAX_MAPPED = 1_000
"""Map indices of one task, at most."""

DEFAULT_MAX_TASK_INSTANCES = 3_000
"""Task instances of one DAG run, at most; one scheduling decision takes ten seconds at this size, a minute at four
times as many."""

DEFAULT_MAX_GROUPS = 8
"""Jobs of a scatter-gather stage that have tasks of their own, at most."""

# Planning never looks at the base path, and nothing is known about the machine.
_SOMEWHERE = Target(name="local", base_path=Path("/"))


def plan_run(
    lab: Lab,
    name: str,
    target: Target | None = None,
    *,
    rules: ResourceRules | None = None,
    max_mapped: int = DEFAULT_MAX_MAPPED,
    max_task_instances: int = DEFAULT_MAX_TASK_INSTANCES,
    max_groups: int = DEFAULT_MAX_GROUPS,
    chunk: Chunk = 1,
) -> RunPlan:
    """What is to be scheduled for one run of a lab on a target; the same lab and target always give the same plan.

    Without a target the plan is for this machine, its capacity unknown. `rules` are those of RepX's `resources.toml`.
    Sweeps of more than `max_mapped` points, and runs of more than `max_task_instances` task instances, are packed into
    chunks of several points per task, and so is any other where `chunk` asks for it. A scatter-gather stage of more
    than `max_groups` jobs has its tasks once for all of them.

    Raises `LabLookupError` for an unknown run, `UnsupportedTargetError` for a target that this version cannot honor,
    `TargetError` for a resource hint that is not an amount, and `PlanError` for a run that cannot be scheduled.
    """
    target = target if target is not None else _SOMEWHERE
    run = lab.run(name)
    require_supported(target, run)
    # Most of what planning makes stays alive, so looking for garbage on the way only takes time.
    with collection_paused():
        stages = find_stages(run)
        rules = rules if rules is not None else ResourceRules()
        taken, pools = shares(run, target, rules)
        taken_by_part, pools_of_parts = part_shares(run, target, rules)
        linked = link_stages(run, stages)
        known = known_values(run, stages.order)
        simple = [chain for chain in linked if stages.all[chain.stages[0]].jobs[0] in taken]
        parts = divided(simple, stages, run, known, taken)
        fans = fanned([chain for chain in linked if chain not in simple], stages, run, known, taken_by_part, max_groups)
        limits = Limits(
            max_mapped,
            max_task_instances,
            Packing(chunk, in_parallel=target.scheduler == "local"),
            {pool.name: pool.slots for pool in (*pools, *pools_of_parts)},
        )
        chains, scatter_gathers = planned(parts, fans, stages, run, limits)
    return RunPlan(
        lab_id=lab.lab_id,
        run=run.name,
        target=target.name,
        chains=chains,
        pools=tuple(
            sorted({pool.name: pool for pool in (*pools, *pools_of_parts)}.values(), key=lambda pool: pool.name)
        ),
        hard_dependencies=tuple(sorted(found.run for found in run.dependencies if found.kind == "hard")),
        soft_dependencies=tuple(sorted(found.run for found in run.dependencies if found.kind == "soft")),
        scatter_gathers=scatter_gathers,
    )
