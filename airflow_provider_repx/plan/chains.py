"""From linked stages to chains of tasks: points in order, divided so that every task has one pool and one size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from airflow_provider_repx.lab.models import JobId, Run
from airflow_provider_repx.lab.units import parse_time
from airflow_provider_repx.plan.chunks import Extent, chunk_sizes
from airflow_provider_repx.plan.labels import Parameters, labeled
from airflow_provider_repx.plan.links import LinkedStages
from airflow_provider_repx.plan.models import Chain, PlannedScatterGather, PlannedStage
from airflow_provider_repx.plan.names import UniqueIds, group_id_for
from airflow_provider_repx.plan.packing import Packing, SlotDemand
from airflow_provider_repx.plan.scatter_gather import (
    Fan,
    branch_width,
    divided_fans,
    planned_fan,
    reserved_for_branches,
)
from airflow_provider_repx.plan.slots import Share
from airflow_provider_repx.plan.stages import Stages

__all__ = ["Limits", "Part", "divided", "fanned", "planned"]


@dataclass(frozen=True)
class Limits:
    """How wide a DAG run may be: map indices of one task, and task instances of all tasks together; and what is packed.

    `pool_slots` are the sizes of the pools by name.
    """

    max_mapped: int
    max_task_instances: int
    packing: Packing
    pool_slots: Mapping[str, int | None]

    def extent(self, part: Part, run: Run) -> Extent:
        """The size of a part."""
        if self.packing.chunk == 1:
            return Extent(len(part.points), len(part.stages))
        hints = {run.jobs[job].resource_hints.time for point in part.points for job in point}
        limits = [None if written is None else parse_time(written) for written in hints]
        return Extent(
            len(part.points),
            len(part.stages),
            self.packing.least(len(part.points), map(self._demand, part.shares), limits),
        )

    def parallel(self, chunk: int, share: Share) -> int:
        """How many jobs a task with `chunk` points runs at once."""
        return self.packing.parallel(chunk, self._demand(share))

    def _demand(self, share: Share) -> SlotDemand:
        return SlotDemand(share.slots, self.pool_slots.get(share.pool))


@dataclass(frozen=True)
class Part:
    """Points of a chain whose jobs take the same shares, stage by stage; ``points[i][k]`` as in `LinkedStages`."""

    stages: tuple[int, ...]
    task_ids: tuple[str, ...]
    shares: tuple[Share, ...]
    points: tuple[tuple[JobId, ...], ...]
    labels: tuple[str, ...]


def divided(
    chains: Sequence[LinkedStages],
    stages: Stages,
    run: Run,
    known: Mapping[JobId, Parameters],
    shares: Mapping[JobId, Share],
) -> tuple[Part, ...]:
    """The chains with their points in order, each divided by what its jobs take, smallest first.

    The first part keeps the stages' task ids. In the others a stage is called after its slots, or its pool, where they
    differ from the first part's: `simulate`, ``simulate__slots_4``.
    """
    ids = UniqueIds({stage.task_id for stage in stages.all})
    parts: list[Part] = []
    for chain in chains:
        by_shares: dict[tuple[Share, ...], list[tuple[tuple[JobId, ...], str]]] = {}
        for point, label in labeled(chain, stages, run, known):
            by_shares.setdefault(tuple(shares[job] for job in point), []).append((point, label))
        plain = [stages.all[position].task_id for position in chain.stages]
        first = min(by_shares)
        for number, taken in enumerate(sorted(by_shares), start=1):
            names = (
                plain
                if taken == first
                else [
                    ids.claim(_part_id(name, share, usual, number, ids))
                    for name, share, usual in zip(plain, taken, first, strict=True)
                ]
            )
            points, labels = zip(*by_shares[taken], strict=True)
            parts.append(Part(chain.stages, tuple(names), taken, points, labels))
    return tuple(parts)


def planned(
    parts: Sequence[Part], fans: Sequence[Fan], stages: Stages, run: Run, limits: Limits
) -> tuple[tuple[Chain, ...], tuple[PlannedScatterGather, ...]]:
    """The chains and scatter-gather stages of a run's plan, in the order given.

    Every task depends on exactly those tasks that complete a job which one of its own jobs reads.
    """
    task_of: dict[JobId, str] = {}
    rank: dict[str, int] = {}
    for part in parts:
        for column, task_id in enumerate(part.task_ids):
            rank[task_id] = len(rank)
            task_of.update((point[column], task_id) for point in part.points)
    ids = UniqueIds(set(rank))
    extents = [*(limits.extent(part, run) for part in parts), *(fan.extent for fan in fans)]
    # Each fan has one more task, which finds out what the branches are.
    left = limits.max_task_instances - len(fans)
    reserved = reserved_for_branches(fans, limits.max_mapped, left, sum(extent.tasks for extent in extents))
    chunks = chunk_sizes(
        extents,
        max_mapped=limits.max_mapped,
        max_task_instances=left - reserved,
        run=run.name,
    )
    used = sum(-(-extent.points // chunk) * extent.tasks for extent, chunk in zip(extents, chunks, strict=True))
    width = branch_width(fans, limits.max_mapped, left - used)
    groups = [
        planned_fan(fan, run, ids, upstream=(), chunk=chunk, width=width)
        for fan, chunk in zip(fans, chunks[len(parts) :], strict=True)
    ]
    for group in groups:
        rank[group.gather.task_id] = len(rank)
        task_of.update((job, group.gather.task_id) for job in group.jobs)
    groups = [replace(group, upstream=_upstream(group.jobs, run, task_of, rank)) for group in groups]
    number_of_jobs = Counter(task_of.values())
    chains = []
    for part, chunk in zip(parts, chunks[: len(parts)], strict=True):
        columns = zip(*part.points, strict=True)
        tasks = tuple(
            PlannedStage(
                task_id=task_id,
                stage=stages.all[position].name,
                pipeline=stages.all[position].pipeline,
                jobs=jobs,
                upstream=_upstream(jobs, run, task_of, rank),
                pool=share.pool,
                slots=share.slots,
                parallel=limits.parallel(chunk, share),
                sole_upstream=_sole_upstream(jobs, run, task_of, number_of_jobs),
            )
            for position, task_id, share, jobs in zip(part.stages, part.task_ids, part.shares, columns, strict=True)
        )
        chains.append(Chain(ids.claim(group_id_for(part.task_ids[0])), tasks, part.labels, chunk))
    return tuple(chains), tuple(groups)


def fanned(
    linked: Sequence[LinkedStages],
    stages: Stages,
    run: Run,
    known: Mapping[JobId, Parameters],
    shares: Mapping[JobId, Mapping[str, Share]],
    max_groups: int,
) -> tuple[Fan, ...]:
    """The scatter-gather stages with their jobs in order; each is a chain of its own."""
    fans: list[Fan] = []
    for chain in linked:
        points = [(point[0], label) for point, label in labeled(chain, stages, run, known)]
        fans += divided_fans(run, stages.all[chain.stages[0]], points, shares, max_groups)
    return tuple(fans)


def _upstream(
    jobs: Sequence[JobId], run: Run, task_of: Mapping[JobId, str], rank: Mapping[str, int]
) -> tuple[str, ...]:
    found = {task_of[producer] for job in jobs for producer in run.jobs[job].producers}
    return tuple(sorted(found, key=rank.__getitem__))


def _sole_upstream(
    jobs: Sequence[JobId], run: Run, task_of: Mapping[JobId, str], number_of_jobs: Mapping[str, int]
) -> tuple[str, ...]:
    """The upstream tasks that have one job, which all of `jobs` read from; in the order of the first job's inputs."""
    candidates = [job for job in run.jobs[jobs[0]].producers if number_of_jobs[task_of[job]] == 1]
    return tuple(task_of[only] for only in candidates if all(only in run.jobs[job].producers for job in jobs))


def _part_id(name: str, share: Share, usual: Share, number: int, ids: UniqueIds) -> str:
    suffix = f"__slots_{share.slots}" if share.slots != usual.slots else ""
    if share.pool != usual.pool:
        suffix += f"__{share.pool}"
    if not suffix or ids.would_change(name + suffix):
        suffix += f"__part_{number}"
    return name + suffix
