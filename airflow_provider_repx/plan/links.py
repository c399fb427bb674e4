"""Which stages advance together: those whose jobs pair up one-to-one form a chain.

A stage joins the chains of the stages that it pairs up with, so diamonds close. It joins none that would have to wait
for itself: a stage that also reads from a stage behind that chain starts a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from airflow_provider_repx.lab.models import JobId, Run
from airflow_provider_repx.plan.stages import Stages

__all__ = ["LinkedStages", "link_stages"]


@dataclass(frozen=True)
class LinkedStages:
    """Stages of one chain by position, upstream first; ``points[i][k]`` is the job of point `i` in stage `k`."""

    stages: tuple[int, ...]
    points: tuple[tuple[JobId, ...], ...]


def link_stages(run: Run, stages: Stages) -> tuple[LinkedStages, ...]:
    """Every stage of the run in exactly one chain; chains that others read from come first.

    The order of the points is arbitrary but deterministic.
    """
    builder = _Builder(run, stages)
    for position in range(len(stages.all)):
        builder.place(position)
    return builder.finished()


@dataclass
class _Builder:
    """Chains under construction. A chain is called by the number of the stage that founded it."""

    run: Run
    stages: Stages
    chain_of: dict[int, int] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    downstream: dict[int, set[int]] = field(default_factory=dict)
    point_of: dict[JobId, int] = field(default_factory=dict)

    def place(self, position: int) -> None:
        """Put the next stage, in topological order, into the chains that it can join, or into one of its own.

        A scatter-gather stage stays alone: its branches are mapped, and Airflow cannot map within a mapped group.
        """
        stage = self.stages.all[position]
        upstream_chains = sorted({self.chain_of[up] for up in stage.upstream})
        joined = []
        for chain in upstream_chains:
            alone = self._is_scatter_gather(position) or self._is_scatter_gather(self.members[chain][0])
            pairing = None if alone else self._pairing(position, chain)
            if pairing is not None and not self._leads_to(chain, set(upstream_chains) - {chain}):
                joined.append((chain, pairing))
        if joined:
            home, points = joined[0]
            for chain, other in joined[1:]:
                self._merge(home, chain, {other[job]: point for job, point in points.items()})
        else:
            home, points = position, {job: point for point, job in enumerate(stage.jobs)}
            self.members[home] = []
            self.downstream[home] = set()
        self.members[home].append(position)
        self.chain_of[position] = home
        self.point_of.update(points)
        for up in stage.upstream:
            if self.chain_of[up] != home:
                self.downstream[self.chain_of[up]].add(home)

    def _is_scatter_gather(self, position: int) -> bool:
        return self.run.jobs[self.stages.all[position].jobs[0]].stage_type == "scatter-gather"

    def finished(self) -> tuple[LinkedStages, ...]:
        """The chains, in topological order."""
        return tuple(self._finished(home) for home in self._order())

    def _pairing(self, position: int, chain: int) -> dict[JobId, int] | None:
        """The point of the chain that each job of the stage belongs to, or `None` if they do not pair up one-to-one."""
        stage = self.stages.all[position]
        points: dict[JobId, int] = {}
        read: set[JobId] = set()
        for job in stage.jobs:
            for producer in self.run.jobs[job].producers:
                if self.chain_of[self.stages.position[producer]] != chain:
                    continue
                read.add(producer)
                if points.setdefault(job, self.point_of[producer]) != self.point_of[producer]:
                    return None
        from_chain = [up for up in stage.upstream if self.chain_of[up] == chain]
        width = len(self.stages.all[self.members[chain][0]].jobs)
        # Each job reads from one point only, and together they read every job of the stages that they read from. With
        # as many jobs as points that is one-to-one.
        paired = len(stage.jobs) == width and len(read) == width * len(from_chain)
        return points if paired else None

    def _leads_to(self, chain: int, goals: set[int]) -> bool:
        if not goals:
            return False
        seen = {chain}
        pending = [chain]
        while pending:
            for following in self.downstream[pending.pop()]:
                if following in goals:
                    return True
                if following not in seen:
                    seen.add(following)
                    pending.append(following)
        return False

    def _merge(self, home: int, other: int, renumbered: Mapping[int, int]) -> None:
        """Make two unrelated chains one; `renumbered` tells the other's points in numbers of the first."""
        for position in self.members.pop(other):
            self.members[home].append(position)
            self.chain_of[position] = home
            for job in self.stages.all[position].jobs:
                self.point_of[job] = renumbered[self.point_of[job]]
        self.downstream[home] |= self.downstream.pop(other)
        for following in self.downstream.values():
            if other in following:
                following.remove(other)
                following.add(home)

    def _order(self) -> Iterable[int]:
        depths: dict[int, int] = {}
        upstream: dict[int, set[int]] = {home: set() for home in self.members}
        for home, following in self.downstream.items():
            for chain in following:
                upstream[chain].add(home)
        pending = sorted(self.members)
        while pending:
            waiting = []
            for home in pending:
                if all(chain in depths for chain in upstream[home]):
                    depths[home] = 1 + max((depths[chain] for chain in upstream[home]), default=0)
                else:
                    waiting.append(home)
            pending = waiting
        return sorted(self.members, key=lambda home: (depths[home], min(self.members[home])))

    def _finished(self, home: int) -> LinkedStages:
        positions = tuple(sorted(self.members[home]))
        columns = [sorted(self.stages.all[position].jobs, key=self.point_of.__getitem__) for position in positions]
        return LinkedStages(positions, tuple(zip(*columns, strict=True)))
