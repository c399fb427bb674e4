"""`airflow repx list jobs`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.find import SelectedJobs, select
from airflow_provider_repx.cli.labs import choose_lab
from airflow_provider_repx.cli.parts import name_of, outputs_of, statuses_of, units_of, work_items
from airflow_provider_repx.cli.tables import clean, counted, print_json, print_table
from airflow_provider_repx.execution.store import JobStatus, OutputStore, ResultRow, results
from airflow_provider_repx.execution.units import Unit
from airflow_provider_repx.lab import JobId, Lab, Scalar
from airflow_provider_repx.plan.labels import shown

__all__ = ["list_jobs"]

_NONE = "-"


@dataclass(frozen=True)
class _Entry:
    """A job of a run, or a part of one."""

    run: str
    row: ResultRow
    part: str = ""

    @property
    def name(self) -> str:
        """As other commands take it."""
        return f"{self.row.job_id}/{self.part}" if self.part else self.row.job_id


@command
def list_jobs(arguments: argparse.Namespace) -> None:
    """Print one row per job."""
    chosen = choose_lab(arguments)
    statuses = frozenset(map(JobStatus, arguments.status))
    entries = [
        entry
        for entry in _entries(chosen.lab, chosen.store, arguments.spec, with_parts=arguments.parts)
        if (not statuses or entry.row.status in statuses)
        and (arguments.stage is None or arguments.stage in entry.row.stage)
    ]
    if arguments.output == "json":
        print_json([_describe(entry) for entry in entries])
        return
    columns = _Columns(
        with_run=len({entry.run for entry in entries}) > 1,
        parameters=arguments.param,
        store=chosen.store if arguments.output_paths else None,
    )
    if not entries:
        print(f"There are no such jobs: {_asked(arguments)}.", file=sys.stderr)
    if arguments.group_by_stage:
        _print_sections(entries, columns)
    else:
        print_table([columns.header, *map(columns.row, entries)])


def _asked(arguments: argparse.Namespace) -> str:
    """Which jobs were asked for, in words."""
    words = [f"of {arguments.spec}" if arguments.spec is not None else "of any run"]
    if arguments.stage is not None:
        words.append(f"of a stage with {arguments.stage!r} in its name")
    if arguments.status:
        words.append(f"with status {' or '.join(arguments.status)}")
    return clean(", ".join(words))


def _entries(lab: Lab, store: OutputStore, spec: str | None, *, with_parts: bool) -> Iterator[_Entry]:
    chosen = select(lab, spec)
    # One question for all runs: the store may be on another machine.
    statuses = store.statuses(dict.fromkeys(job for selected in chosen for job in selected.run.jobs))
    parts = _parts(chosen, store) if with_parts else {}
    for selected in chosen:
        wanted = frozenset(selected.jobs)
        for row in results(lab, selected.run.name, store, statuses=statuses):
            if row.job_id in wanted:
                yield _Entry(selected.run.name, row)
                for unit, status in parts.get(row.job_id, {}).items():
                    outputs = outputs_of(selected.run.jobs[row.job_id].executables[unit.executable], unit.paths(store))
                    part = replace(row, status=status, outputs={name: Path(path) for name, path in outputs.items()})
                    yield _Entry(selected.run.name, part, name_of(unit).partition("/")[2])


def _parts(chosen: Iterable[SelectedJobs], store: OutputStore) -> Mapping[JobId, Mapping[Unit, JobStatus]]:
    """How far the parts of scatter-gather jobs are."""
    jobs = {
        job_id: selected.run.jobs[job_id]
        for selected in chosen
        for job_id in selected.jobs
        if selected.run.jobs[job_id].stage_type != "simple"
    }
    items = work_items(store, jobs)
    units = {job_id: units_of(job_id, job, len(items.get(job_id, ()))) for job_id, job in jobs.items()}
    statuses = statuses_of(store, [unit for members in units.values() for unit in members])
    return {job_id: {unit: statuses[unit] for unit in members} for job_id, members in units.items()}


def _describe(entry: _Entry) -> dict[str, Any]:
    row = entry.row
    return {
        "run": entry.run,
        "job": row.job_id,
        "part": entry.part or None,
        "stage": row.stage,
        "status": row.status.value,
        "parameters": dict(row.parameters),
        "outputs": {name: str(path) for name, path in row.outputs.items()},
    }


@dataclass(frozen=True)
class _Columns:
    with_run: bool
    parameters: Sequence[str]
    store: OutputStore | None

    @property
    def header(self) -> list[str]:
        outputs = ["outputs"] if self.store is not None else []
        return [*(["run"] if self.with_run else []), "job", "stage", "status", *self.parameters, *outputs]

    def row(self, entry: _Entry) -> list[str]:
        row = entry.row
        cells = [entry.run] if self.with_run else []
        cells += [entry.name, row.stage, row.status.value]
        cells += [_value(row.parameters, name) for name in self.parameters]
        if self.store is not None:
            cells.append(", ".join(map(str, row.outputs.values())))
        return cells


def _value(parameters: Mapping[str, Scalar], name: str) -> str:
    return shown(parameters[name]) if name in parameters else _NONE


def _print_sections(entries: Iterable[_Entry], columns: _Columns) -> None:
    # In the order in which stages first appear, which is upstream first.
    by_stage: dict[str, list[_Entry]] = {}
    for entry in entries:
        by_stage.setdefault(entry.row.stage, []).append(entry)
    for number, (stage, members) in enumerate(by_stage.items()):
        counts = Counter(entry.row.status for entry in members if not entry.part)
        told = ", ".join(f"{counts[status]} {status}" for status in JobStatus if counts[status])
        print(("\n" if number else "") + f"{clean(stage)}: {counted(sum(counts.values()), 'job')}: {told}")
        print_table([columns.header, *map(columns.row, members)])
