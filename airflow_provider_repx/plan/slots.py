"""Pools, and how many slots of them a job takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_repx.errors import PlanError
from airflow_provider_repx.lab.models import JobId, ResourceHints, Run
from airflow_provider_repx.plan.models import PoolPlan
from airflow_provider_repx.targets.models import Capacity, Target
from airflow_provider_repx.targets.resources import ResourceRules, Resources, resolve

__all__ = ["Share", "pool_for", "pool_name", "shares", "slots_for"]

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, order=True)
class Share:
    """What one job takes: so many slots of a pool."""

    slots: int
    pool: str


def pool_name(target: Target, partition: str | None) -> str:
    """The pool of a target, or of one partition of it on Slurm; ``None`` is the cluster's default partition."""
    parts = ["repx", target.name]
    if target.scheduler == "slurm" and partition is not None:
        parts.append(partition)
    return _FORBIDDEN.sub("_", "_".join(parts))


def pool_for(target: Target, partition: str | None) -> PoolPlan:
    """The pool that jobs of a partition draw from; one slot stands for one CPU."""
    capacity = _capacity(target, partition)
    if target.scheduler == "slurm":
        place = f"partition {partition}" if partition is not None else "the default partition"
        description = f"CPUs of {place} of target {target.name}"
    else:
        description = f"CPUs of target {target.name}"
    name = pool_name(target, partition)
    if capacity is None:
        return PoolPlan(name, None, description)
    # The size is part of the description: whoever manages pools sees by it when the plan's size has changed.
    return PoolPlan(name, capacity.cpus, f"{capacity.cpus} {description}")


def slots_for(target: Target, resources: Resources, job_id: str) -> int:
    """How many slots a job takes: its CPUs, or its memory in CPUs' worth of memory if that is more.

    The number is rounded up to a power of two, so that jobs of slightly different size share a task, but never above
    the pool's slots. On this machine a job larger than the machine takes the whole pool, and so runs alone. On Slurm,
    where it could never start, it raises `PlanError`.
    """
    cpus = resources.cpus or 1
    capacity = _capacity(target, resources.partition)
    if capacity is None:
        return _power_of_two(cpus)
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
    """What each job of the run takes, and the pools that are drawn from, sorted by name.

    Raises `TargetError` for a hint that is not an amount, and `PlanError` for a job that its pool could never hold.
    """
    worked_out = _Shares(target, rules)
    found = {job_id: worked_out.of(job_id, run.jobs[job_id].resource_hints) for job_id in sorted(run.jobs)}
    return found, tuple(worked_out.pools[name] for name in sorted(worked_out.pools))


def _capacity(target: Target, partition: str | None) -> Capacity | None:
    if target.scheduler == "slurm" and partition is not None:
        return target.partitions.get(partition)
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
