"""`airflow repx show job`."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.find import stage_of
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab
from airflow_provider_repx.cli.parts import FoundUnit, find_unit, name_of, outputs_of, statuses_of, units_of, work_items
from airflow_provider_repx.cli.tables import clean, print_json, print_table
from airflow_provider_repx.execution.store import Attempt, JobStatus, OutputStore
from airflow_provider_repx.execution.store.attempt import parse_attempt
from airflow_provider_repx.execution.units import Unit
from airflow_provider_repx.lab import (
    Executable,
    InputMapping,
    Scalar,
    downstream_of,
    effective_parameters,
    format_memory,
    format_time,
)
from airflow_provider_repx.plan.labels import shown
from airflow_provider_repx.targets import resolve_executable

__all__ = ["show_job"]

_WITHIN = {"scatter:work_item": "the branch's work item", "runner:worker_outputs": "the outputs of all branches"}
"""What comes from other parts of the same job, for people."""

_SHOWN = 10
"""Parts that have failed and are named."""


@command
def show_job(arguments: argparse.Namespace) -> None:
    """Print everything that is known about one job, or one part of a scatter-gather job."""
    chosen = choose_lab(arguments)
    about = _describe(chosen, find_unit(chosen.lab, arguments.job))
    if arguments.output == "json":
        print_json(about)
    else:
        _print(about)


def _describe(chosen: ChosenLab, asked: FoundUnit) -> dict[str, Any]:
    found, job, store = asked.found, asked.found.job, chosen.store
    paths = asked.paths(store)
    files = store.contents([paths.attempt])
    parts = {} if asked.named or job.stage_type == "simple" else _parts(store, asked)
    statuses = store.statuses((found.job_id, *job.producers))
    # A whole job is at work where any part of it is.
    claim = next(iter(store.claims([paths, *(unit.paths(store) for unit in parts)]).values()), None)
    inherited = effective_parameters(found.run)[found.job_id]
    executable = job.executables[asked.unit.executable]
    whole = job.executables.values()
    return {
        "job": found.job_id,
        "part": asked.named or None,
        "lab": chosen.name,
        "lab_id": chosen.lab.lab_id,
        "runs": list(found.runs),
        "pipeline": job.pipeline,
        "stage": stage_of(job),
        "stage_type": job.stage_type,
        "status": (asked.status(store) if asked.named else statuses[found.job_id]).value,
        "claimed_by": None if claim is None else str(claim.claimant),
        "parameters": dict(job.params),
        "inherited_parameters": {name: value for name, value in inherited.items() if name not in job.params},
        "resources": _resources(chosen, asked),
        "inputs": _inputs([executable] if asked.named else whole),
        "outputs": outputs_of(executable, paths),
        "parts": [{"part": name_of(unit).partition("/")[2], "status": status.value} for unit, status in parts.items()],
        "upstream": {producer: statuses[producer].value for producer in job.producers},
        "downstream": list(downstream_of(found.run, [found.job_id])),
        "last_attempt": _attempt(_parsed(files.get(paths.attempt))),
        "folder": str(paths.root),
        "stdout": str(paths.stdout),
        "stderr": str(paths.stderr),
        "script": str(chosen.lab.path / executable.path),
    }


def _parts(store: OutputStore, asked: FoundUnit) -> Mapping[Unit, JobStatus]:
    """How far the parts of a job are."""
    items = work_items(store, [asked.job_id]).get(asked.job_id, ())
    return statuses_of(store, units_of(asked.job_id, asked.found.job, len(items)))


def _parsed(record: bytes | None) -> Attempt | None:
    return None if record is None else parse_attempt(record.decode("utf-8", "replace"))


def _resources(chosen: ChosenLab, asked: FoundUnit) -> dict[str, Any]:
    found = asked.found
    wanted = resolve_executable(chosen.rules, chosen.target.name, found.job_id, found.job, asked.unit.executable)
    return {
        "cpus": wanted.cpus,
        "memory": None if wanted.mem is None else format_memory(wanted.mem),
        "time": None if wanted.time is None else format_time(wanted.time),
        "partition": wanted.partition,
        "sbatch_opts": list(wanted.sbatch_opts),
    }


def _inputs(executables: Iterable[Executable]) -> dict[str, str]:
    return {mapping.target_input: _source(mapping) for executable in executables for mapping in executable.inputs}


def _source(mapping: InputMapping) -> str:
    if mapping.job_id == "self":
        return f"output {mapping.source_output} of its own scatter"
    if mapping.job_id is not None:
        return f"output {mapping.source_output} of {mapping.job_id}"
    if mapping.source_run is not None:
        return f"metadata of run {mapping.source_run}"
    if mapping.source_value == "store_base":
        return "the store's base path"
    source = mapping.source or ""
    if source.startswith("step:"):
        return f"output {mapping.source_output} of step {source.removeprefix('step:')}"
    return _WITHIN.get(source) or source or mapping.source_value or "unknown"


def _attempt(attempt: Attempt | None) -> dict[str, Any] | None:
    if attempt is None:
        return None
    claim = attempt.claim
    return {
        "outcome": attempt.outcome,
        "cause": attempt.cause,
        "exit_code": attempt.exit_code,
        "started": _moment(attempt.started),
        "seconds": round(attempt.seconds, 3),
        "cpu_seconds": attempt.cpu_seconds,
        "host": attempt.host,
        "slurm_job": attempt.slurm_id or None,
        "node": attempt.node or None,
        "made_by": None if claim is None else str(claim.claimant),
    }


def _moment(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds") if seconds else None


def _print(about: Mapping[str, Any]) -> None:
    sections = ("parameters", "inherited_parameters", "inputs", "outputs", "upstream")
    rows = [["job", about["job"]], *([["part", about["part"]]] if about["part"] else [])]
    rows += [[name, ", ".join(value) if isinstance(value, list) else str(value)] for name, value in _lines(about)]
    print_table(rows)
    for name in sections:
        if about[name]:
            print(f"\n{name.replace('_', ' ')}:")
            print_table([["  " + key, _text(value)] for key, value in about[name].items()])
    if about["parts"]:
        print("\nparts:")
        print_table([["  " + kind, told] for kind, told in _counted_parts(about["parts"])])
    if about["downstream"]:
        print("\ndownstream:")
        print("\n".join("  " + clean(job) for job in about["downstream"]))


def _counted_parts(parts: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """Each kind of part (a step is one in all branches) with how far it is, and which have failed."""
    kinds: dict[str, list[Mapping[str, str]]] = {}
    for part in parts:
        kinds.setdefault(part["part"].rpartition("/")[2], []).append(part)
    for kind, members in kinds.items():
        counts = Counter(part["status"] for part in members)
        told = ", ".join(f"{counts[status.value]} {status}" for status in JobStatus if counts[status.value])
        failed = [part["part"] for part in members if part["status"] == JobStatus.FAILED.value and "/" in part["part"]]
        more = f", and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        yield kind, told + (f"; failed: {', '.join(failed[:_SHOWN])}{more}" if failed else "")


def _lines(about: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("lab", "runs", "pipeline", "stage", "status", "claimed_by"):
        if about[name]:
            yield name.replace("_", " "), about[name]
    asked = [f"{name} {_text(value)}" for name, value in about["resources"].items() if value]
    yield "resources", ", ".join(asked) or "-"
    if about["last_attempt"] is not None:
        yield "last attempt", _last(about["last_attempt"])
    for name in ("script", "folder", "stdout", "stderr"):
        yield name, about[name]


def _last(attempt: Mapping[str, Any]) -> str:
    parts = [attempt["outcome"]]
    if attempt["exit_code"] is not None:
        parts.append(f"exit code {attempt['exit_code']}")
    if attempt["cause"]:
        parts.append(attempt["cause"])
    if attempt["started"]:
        parts.append(f"started {attempt['started']}, {attempt['seconds']} s")
    if attempt["host"]:
        parts.append(f"on {attempt['host']}")
    if attempt["slurm_job"]:
        parts.append(f"as Slurm job {attempt['slurm_job']}")
    return ", ".join(parts)


def _text(value: Scalar | list[str]) -> str:
    return " ".join(value) if isinstance(value, list) else shown(value)
