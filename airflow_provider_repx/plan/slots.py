"""Pools, and how many slots of them a job takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_repx.errors import PlanError
from airflow_provider_repx.lab.models import JobId, ResourceHints, Run
from airflow_provider_repx.plan.models import PoolPlan
from airflow_provider_repx.targets.models import Capacity, Target
from airflow_provider_repx.targets.resources import ResourceRules, Resources, resolve, resolve_executable

__all__ = ["DEFAULT_POOL_SLOTS", "Share", "pool_for", "pool_limit", "pool_name", "shares", "slots_for"]

DEFAULT_POOL_SLOTS = 128
"""Slots of a pool of a cluster whose capacity nobody has told: as many as Airflow's own default pool has."""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, order=True)
class Share:
    """What one job takes: so many slots of a pool."""

    slots: int
    pool: str


def pool_name(target: Target, partition: str | None) -> str:
    """The pool of a target, or of one partition of it on Slurm.

    ``None`` is the target's default partition; where it names none, the cluster's.
    """
    parts = [target.pool_prefix, target.name]
    named = _partition(target, partition)
    if target.scheduler == "slurm" and named is not None:
        parts.append(named)
    return _FORBIDDEN.sub("_", "_".join(parts))


def pool_for(target: Target, partition: str | None) -> PoolPlan:
    """The pool that jobs of a partition draw from; one slot stands for one CPU."""
    capacity = _capacity(target, partition)
    if target.scheduler == "slurm":
        named = _partition(target, partition)
        place = f"partition {named}" if named is not None else "the default partition"
        description = f"CPUs of {place} of target {target.name}"
    else:
        description = f"CPUs of target {target.name}"
    name = pool_name(target, partition)
    if capacity is None:
        if target.scheduler == "slurm":
            # A task whose pool does not exist is never scheduled, without a word.
            return PoolPlan(name, DEFAULT_POOL_SLOTS, f"{description}: not known")
        return PoolPlan(name, None, description)
    # The size is part of the description: whoever manages pools sees by it when the plan's size has changed.
    return PoolPlan(name, capacity.cpus, f"{capacity.cpus} {description}")


def pool_limit(target: Target, partition: str | None) -> int | None:
    """How many slots jobs of a partition may take at once; `None` where nobody has told its capacity."""
    capacity = _capacity(target, partition)
    return None if capacity is None else capacity.cpus


def slots_for(target: Target, resources: Resources, job_id: str) -> int:
    """How many slots a job takes: its CPUs, or its memory in CPUs' worth of memory if that is more.

    The number is rounded up to a power of two, so that jobs of slightly different size share a task, but never above
    the pool's slots. On this machine a job larger than the machine takes the whole pool, and so runs alone. On Slurm,
    where it could never start, it raises `PlanError`.
    """
    cpus = resources.cpus or 1
    capacity = _capacity(target, resources.partition)
    if capacity is None:
        # A task that wants more slots than its pool has would wait forever.
        return min(_power_of_two(cpus), DEFAULT_POOL_SLOTS) if target.scheduler == "slurm" else _power_of_two(cpus)
    needed = cpus
    if capacity.memory is not None and resources.mem is not None:
        needed = max(cpus, -(-resources.mem * capacity.cpus // capacity.memory))
    if needed > capacity.cpus and target.scheduler == "slurm":
        raise PlanError(_too_large(target, resources, job_id, capacity))
    return min(_power_of_two(needed), capacity.cpus)


@dataclass
class _Shares:
    """Shares of one run's jobs, worked out once for each distinct request."""

    target: Target
    rules: ResourceRules
    pools: dict[str, PoolPlan] = field(default_factory=dict)
    by_hints: dict[ResourceHints, Share] = field(default_factory=dict)

    def of(self, job_id: JobId, hints: ResourceHints) -> Share:
        if self.rules.rules:
            return self._worked_out(job_id, hints)
        share = self.by_hints.get(hints)
        if share is None:
            share = self.by_hints[hints] = self._worked_out(job_id, hints)
        return share

    def _worked_out(self, job_id: JobId, hints: ResourceHints) -> Share:
        resources = resolve(self.rules, self.target.name, job_id, hints)
        pool = pool_for(self.target, resources.partition)
        self.pools.setdefault(pool.name, pool)
        return Share(slots_for(self.target, resources, job_id), pool.name)


def shares(run: Run, target: Target, rules: ResourceRules) -> tuple[Mapping[JobId, Share], tuple[PoolPlan, ...]]:
    """What each simple job of the run takes, and the pools that are drawn from, sorted by name.

    Raises `TargetError` for a hint that is not an amount, and `PlanError` for a job that its pool could never hold.
    """
    worked_out = _Shares(target, rules)
    found = {
        job_id: worked_out.of(job_id, run.jobs[job_id].resource_hints)
        for job_id in sorted(run.jobs)
        if run.jobs[job_id].stage_type == "simple"
    }
    return found, tuple(worked_out.pools[name] for name in sorted(worked_out.pools))


def part_shares(
    run: Run, target: Target, rules: ResourceRules
) -> tuple[Mapping[JobId, Mapping[str, Share]], tuple[PoolPlan, ...]]:
    """What each executable of the run's scatter-gather jobs takes, and the pools that are drawn from.

    Raises like `shares`; messages name the executable.
    """
    pools: dict[str, PoolPlan] = {}
    found: dict[JobId, Mapping[str, Share]] = {}
    for job_id in sorted(run.jobs):
        job = run.jobs[job_id]
        if job.stage_type != "scatter-gather":
            continue
        taken = {}
        for executable in job.executables:
            resources = resolve_executable(rules, target.name, job_id, job, executable)
            pool = pool_for(target, resources.partition)
            pools.setdefault(pool.name, pool)
            taken[executable] = Share(slots_for(target, resources, f"{job_id} {executable}"), pool.name)
        found[job_id] = taken
    return found, tuple(pools[name] for name in sorted(pools))


def _partition(target: Target, partition: str | None) -> str | None:
    return partition if partition is not None else target.slurm.partition


def _capacity(target: Target, partition: str | None) -> Capacity | None:
    named = _partition(target, partition)
    if target.scheduler == "slurm" and named is not None:
        return target.partitions.get(named)
    return target.capacity


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


def _too_large(target: Target, resources: Resources, job_id: str, capacity: Capacity) -> str:
    asked = f"{resources.cpus or 1} CPUs"
    offered = f"{capacity.cpus} CPUs"
    if resources.mem is not None and capacity.memory is not None:
        asked += f" and {_gib(resources.mem)}"
        offered += f" and {_gib(capacity.memory)}"
    return (
        f"job {job_id} asks for {asked}, but its pool {pool_name(target, resources.partition)} has only {offered}. "
        f"Ask for less, choose another partition, or correct the capacity of target {target.name}."
    )


def _gib(amount: int) -> str:
    return f"{amount / 2**30:.1f} GiB of memory"
