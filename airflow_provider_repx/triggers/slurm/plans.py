"""Labs and plans, read once per triggerer for all triggers of a run."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from airflow_provider_repx.errors import LabError, PlanError
from airflow_provider_repx.execution.units import Unit
from airflow_provider_repx.lab import Lab, LabReference, Run, open_reference
from airflow_provider_repx.plan import Chain, PlannedScatterGather, PlannedStage, RunPlan
from airflow_provider_repx.plan.asked import AskedJobs, asked_jobs
from airflow_provider_repx.targets import ResourceRules, Resources, Target, resolve_executable
from airflow_provider_repx.triggers.slurm.stage_request import StageRequest

__all__ = ["OpenedRun", "opened_run"]

_KEPT = 16
"""Runs whose plans are kept; those that were not asked for the longest go first."""


@dataclass(frozen=True)
class OpenedRun:
    """One run of a lab, planned."""

    lab: Lab
    run: Run
    plan: RunPlan
    rules: ResourceRules
    _asked: dict[tuple[tuple[str, ...], bool, bool], AskedJobs] = field(default_factory=dict, compare=False, repr=False)

    def stage(self, task_id: str) -> PlannedStage:
        """A planned stage; raises `PlanError` where the plan has none of this name."""
        stage = self.plan.stages.get(task_id)
        return stage if stage is not None else self._unknown(task_id, self.plan.stages)

    def group(self, group_id: str) -> PlannedScatterGather:
        """A planned scatter-gather stage; raises `PlanError` where the plan has none of this name."""
        groups = {group.group_id: group for group in self.plan.scatter_gathers}
        return groups[group_id] if group_id in groups else self._unknown(group_id, groups)

    def _unknown(self, name: str, known: Iterable[str]) -> NoReturn:
        raise PlanError(
            f"{self.lab.path}: run {self.run.name!r}: there is no stage {name!r} in its plan any more; it has:"
            f" {', '.join(known)}. Trigger the DAG again."
        )

    def chain(self, stage: PlannedStage) -> Chain:
        """The chain that a stage belongs to."""
        return next(chain for chain in self.plan.chains if stage in chain.stages)

    def resources(self, unit: Unit, target: Target) -> Resources:
        """What a unit asks for on a target; raises `TargetError` for a hint that is not an amount."""
        return resolve_executable(self.rules, target.name, unit.job_id, self.run.jobs[unit.job_id], unit.executable)

    def asked(self, patterns: tuple[str, ...], *, downstream: bool, force: bool) -> AskedJobs:
        """What a DAG run with these params asks for; raises `LabLookupError` for a pattern that matches nothing."""
        question = (patterns, downstream, force)
        found = self._asked.get(question)
        if found is None:
            found = self._asked[question] = asked_jobs(self.run, patterns, downstream=downstream, force=force)
        return found


_opened: OrderedDict[str, OpenedRun] = OrderedDict()
_opening: dict[str, asyncio.Lock] = {}
_labs: OrderedDict[LabReference, Lab] = OrderedDict()


async def opened_run(request: StageRequest) -> OpenedRun:
    """The run that a request is about, read and planned at its first use; raises `LabError` or `PlanError`."""
    key = request.of_run().dump() + _age(request.options.resources_file)
    async with _opening.setdefault(key, asyncio.Lock()):
        found = _opened.get(key)
        if found is None:
            found = await asyncio.to_thread(_open, request)
            _opened[key] = found
            while len(_opened) > _KEPT:
                forgotten, _ = _opened.popitem(last=False)
                _opening.pop(forgotten, None)
        _opened.move_to_end(key)
        return found


def _age(file: Path | None) -> str:
    """What tells a file from one that was there before it; empty without a file."""
    try:
        return "" if file is None else str(file.stat().st_mtime_ns)
    except OSError:
        return ""


def _open(request: StageRequest) -> OpenedRun:
    lab = _labs.get(request.lab)
    if lab is None:
        lab = _labs[request.lab] = open_reference(request.lab)
        while len(_labs) > _KEPT:
            _labs.popitem(last=False)
    if not lab.is_directory:
        raise LabError(f"{lab.path}: is a tar file, which can be read but not run. Unpack it.")
    rules = request.options.rules()
    plan = request.options.plan(lab, request.run, request.target, rules)
    return OpenedRun(lab, lab.run(request.run), plan, rules)
