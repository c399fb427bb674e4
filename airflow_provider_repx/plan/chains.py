"""From linked stages to chains of tasks: points in order, divided so that every task has one pool and one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_repx.lab.models import JobId, Run
from airflow_provider_repx.plan.chunks import Extent, chunk_sizes
from airflow_provider_repx.plan.labels import Parameters, labeled
from airflow_provider_repx.plan.links import LinkedStages
from airflow_provider_repx.plan.models import Chain, PlannedStage
from airflow_provider_repx.plan.names import UniqueIds, group_id_for
from airflow_provider_repx.plan.slots import Share
from airflow_provider_repx.plan.stages import Stages

__all__ = ["Limits", "Part", "divided", "planned"]


@dataclass(frozen=True)
class Limits:
    """How wide a DAG run may be: map indices of one task, and task instances of all tasks together."""

    max_mapped: int
    max_task_instances: int


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


def planned(parts: Sequence[Part], stages: Stages, run: Run, limits: Limits) -> tuple[Chain, ...]:
    """The chains of a run's plan, in the order of their parts.

    Every task depends on exactly those tasks that have a job which one of its own jobs reads.
    """
    task_of: dict[JobId, str] = {}
    rank: dict[str, int] = {}
    for part in parts:
        for column, task_id in enumerate(part.task_ids):
            rank[task_id] = len(rank)
            task_of.update((point[column], task_id) for point in part.points)
    ids = UniqueIds(set(rank))
    chunks = chunk_sizes(
        [Extent(len(part.points), len(part.stages)) for part in parts],
        max_mapped=limits.max_mapped,
        max_task_instances=limits.max_task_instances,
        run=run.name,
    )
    chains = []
    for part, chunk in zip(parts, chunks, strict=True):
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
            )
            for position, task_id, share, jobs in zip(part.stages, part.task_ids, part.shares, columns, strict=True)
        )
        chains.append(Chain(ids.claim(group_id_for(part.task_ids[0])), tasks, part.labels, chunk))
    return tuple(chains)


def _upstream(
    jobs: Sequence[JobId], run: Run, task_of: Mapping[JobId, str], rank: Mapping[str, int]
) -> tuple[str, ...]:
    found = {task_of[producer] for job in jobs for producer in run.jobs[job].producers}
    return tuple(sorted(found, key=rank.__getitem__))


def _part_id(name: str, share: Share, usual: Share, number: int, ids: UniqueIds) -> str:
    suffix = f"__slots_{share.slots}" if share.slots != usual.slots else ""
    if share.pool != usual.pool:
        suffix += f"__{share.pool}"
    if not suffix or ids.would_change(name + suffix):
        suffix += f"__part_{number}"
    return name + suffix
