"""What a job asks for: RepX's `resources.toml` and its precedence.

The format is RepX's: a table ``[defaults]`` and an array of tables ``[[rules]]``. A job's amounts are the defaults,
overridden by the hints that the lab gives for the job, overridden by every matching rule in order; each field by
itself. No maximum is ever taken and nothing flows from upstream jobs here.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache, reduce
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictInt, StrictStr

from airflow_provider_repx.errors import TargetError, UnitError
from airflow_provider_repx.lab.models import Job, ResourceHints
from airflow_provider_repx.lab.units import parse_memory, parse_time
from airflow_provider_repx.targets.toml_file import read_toml, validated

__all__ = [
    "ResourceRule",
    "ResourceRules",
    "ResourceSettings",
    "Resources",
    "load_resource_rules",
    "resolve",
    "resolve_executable",
]


@dataclass(frozen=True)
class Resources:
    """What one job asks for: memory in bytes, CPUs, time in seconds; `None` means that nobody said.

    `sbatch_opts` are options for `sbatch`, one per item.
    """

    mem: int | None = None
    cpus: int | None = None
    time: int | None = None
    partition: str | None = None
    sbatch_opts: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResourceSettings:
    """What one place says about resources, in the units of `Resources`; `None` leaves a field to weaker places."""

    mem: int | None = None
    cpus: int | None = None
    time: int | None = None
    partition: str | None = None
    sbatch_opts: tuple[str, ...] | None = None

    def overridden_by(self, other: ResourceSettings) -> ResourceSettings:
        """These settings, with each field that `other` sets taken from there."""
        changes = {field.name: getattr(other, field.name) for field in fields(other)}
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


@dataclass(frozen=True)
class ResourceRule:
    """One ``[[rules]]`` entry: what the jobs that it matches ask for.

    `job_id_glob` is a shell pattern for whole job ids and `target` a target's name; `None` matches everything.
    `worker_resources` concern the steps of a scatter-gather job.
    """

    resources: ResourceSettings
    job_id_glob: str | None = None
    target: str | None = None
    worker_resources: ResourceSettings | None = None

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        return None if self.job_id_glob is None else re.compile(fnmatch.translate(self.job_id_glob))

    def matches(self, target_name: str, job_id: str) -> bool:
        """Whether the rule is about this job on this target."""
        if self.target is not None and self.target != target_name:
            return False
        return self._pattern is None or self._pattern.match(job_id) is not None


@dataclass(frozen=True)
class ResourceRules:
    """The content of one or more `resources.toml` files."""

    defaults: ResourceSettings = ResourceSettings()
    rules: tuple[ResourceRule, ...] = ()
    default_worker_resources: ResourceSettings | None = None


def resolve(rules: ResourceRules, target_name: str, job_id: str, hints: ResourceHints) -> Resources:
    """What a job asks for on a target: the defaults, then the job's hints, then every matching rule in order.

    Raises `TargetError` when a hint is not an amount; the message names job and field.
    """
    result = rules.defaults.overridden_by(_from_hints(hints, job_id))
    for rule in rules.rules:
        if rule.matches(target_name, job_id):
            result = result.overridden_by(rule.resources)
    return Resources(result.mem, result.cpus, result.time, result.partition, result.sbatch_opts or ())


def resolve_executable(rules: ResourceRules, target_name: str, job_id: str, job: Job, executable: str) -> Resources:
    """What one executable of a job asks for on a target; for `main` the same as `resolve`.

    Scatter and gather: the defaults, the job's hints, their own hints, then every matching rule in order. Steps: what
    the job asks for by `resolve`, then `worker_resources` of the defaults, the step's own hints, and
    `worker_resources` of the last matching rule that has them. Raises `TargetError` when a hint is not an amount.
    """
    where = f"{job_id}: {executable}"
    own = _from_hints(job.executables[executable].resource_hints or ResourceHints(), where)
    result = rules.defaults.overridden_by(_from_hints(job.resource_hints, job_id))
    matching = [rule for rule in rules.rules if rule.matches(target_name, job_id)]
    if executable in ("scatter", "gather"):
        result = result.overridden_by(own)
    for rule in matching:
        result = result.overridden_by(rule.resources)
    if executable.startswith("step-"):
        workers = [rule.worker_resources for rule in matching if rule.worker_resources is not None]
        for settings in (rules.default_worker_resources, own, *workers[-1:]):
            result = result.overridden_by(settings) if settings is not None else result
    return Resources(result.mem, result.cpus, result.time, result.partition, result.sbatch_opts or ())


def load_resource_rules(paths: Iterable[Path]) -> ResourceRules:
    """Read `resources.toml` files and merge them key by key, later ones over earlier ones.

    As in RepX, tables are merged and arrays replaced: a file with ``[[rules]]`` replaces all rules before it. Raises
    `TargetError` that names file and key.
    """
    merged = ResourceRules()
    for path in paths:
        file = validated(_RulesFile, read_toml(path), str(path))
        merged = _merged(merged, _as_rules(file, str(path)), replace_rules="rules" in file.model_fields_set)
    return merged


class _Fields(BaseModel):
    """The fields of a table, as written. Both spellings of the number of CPUs are accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: StrictStr | None = None
    cpus: Annotated[StrictInt | None, Field(ge=1, validation_alias=AliasChoices("cpus-per-task", "cpus"))] = None
    mem: StrictStr | None = None
    time: StrictStr | None = None
    sbatch_opts: tuple[StrictStr, ...] | None = None


class _Defaults(_Fields):
    worker_resources: _Fields | None = Field(
        default=None, validation_alias=AliasChoices("worker_resources", "step_resources")
    )


class _Rule(_Defaults):
    job_id_glob: StrictStr | None = None
    target: StrictStr | None = None


class _RulesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    defaults: _Defaults = _Defaults()
    rules: tuple[_Rule, ...] = ()


def _merged(below: ResourceRules, above: ResourceRules, *, replace_rules: bool) -> ResourceRules:
    workers = [rules.default_worker_resources for rules in (below, above) if rules.default_worker_resources is not None]
    return ResourceRules(
        defaults=below.defaults.overridden_by(above.defaults),
        rules=above.rules if replace_rules else below.rules,
        default_worker_resources=reduce(ResourceSettings.overridden_by, workers) if workers else None,
    )


def _as_rules(file: _RulesFile, where: str) -> ResourceRules:
    def worker(table: _Defaults, place: str) -> ResourceSettings | None:
        written = table.worker_resources
        return None if written is None else _as_resources(written, f"{place}.worker_resources")

    return ResourceRules(
        defaults=_as_resources(file.defaults, f"{where}: defaults"),
        default_worker_resources=worker(file.defaults, f"{where}: defaults"),
        rules=tuple(
            ResourceRule(
                resources=_as_resources(rule, f"{where}: rules.{number}"),
                job_id_glob=rule.job_id_glob,
                target=rule.target,
                worker_resources=worker(rule, f"{where}: rules.{number}"),
            )
            for number, rule in enumerate(file.rules)
        ),
    )


def _as_resources(written: _Fields, where: str) -> ResourceSettings:
    return ResourceSettings(
        mem=_amount(parse_memory, written.mem, f"{where}.mem"),
        cpus=written.cpus,
        time=_amount(parse_time, written.time, f"{where}.time"),
        partition=written.partition,
        sbatch_opts=written.sbatch_opts,
    )


def _from_hints(hints: ResourceHints, job_id: str) -> ResourceSettings:
    return ResourceSettings(
        mem=_amount(parse_memory, hints.mem, f"job {job_id}: resource_hints.mem"),
        cpus=hints.cpus,
        time=_amount(parse_time, hints.time, f"job {job_id}: resource_hints.time"),
        partition=hints.partition,
        sbatch_opts=hints.sbatch_opts,
    )


@lru_cache(maxsize=1024)
def _parsed(parse: Callable[[str], int], written: str) -> int:
    return parse(written)


def _amount(parse: Callable[[str], int], written: str | None, where: str) -> int | None:
    if written is None:
        return None
    try:
        return _parsed(parse, written)
    except UnitError as error:
        raise TargetError(f"{where}: {error}") from error
