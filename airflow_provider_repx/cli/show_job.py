"""`airflow repx show job`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.find import FoundJob, find_job, stage_of
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab
from airflow_provider_repx.cli.tables import clean, print_json, print_table
from airflow_provider_repx.execution.store import OutputStore, read_claim, results
from airflow_provider_repx.execution.store.attempt import Attempt, read_attempt
from airflow_provider_repx.lab import (
    InputMapping,
    Scalar,
    downstream_of,
    effective_parameters,
    format_memory,
    format_time,
)
from airflow_provider_repx.plan.labels import shown
from airflow_provider_repx.targets import resolve

__all__ = ["show_job"]


@command
def show_job(arguments: argparse.Namespace) -> None:
    """Print everything that is known about one job."""
    chosen = choose_lab(arguments)
    about = _describe(chosen, find_job(chosen.lab, arguments.job))
    if arguments.output == "json":
        print_json(about)
    else:
        _print(about)


def _describe(chosen: ChosenLab, found: FoundJob) -> dict[str, Any]:
    job, run, store = found.job, found.run, chosen.store
    paths = store.job(found.job_id)
    statuses = store.statuses((found.job_id, *job.producers))
    visible = chosen.sees_files
    claim = read_claim(paths.claim) if visible else None
    inherited = effective_parameters(run)[found.job_id]
    return {
        "job": found.job_id,
        "lab": chosen.name,
        "lab_id": chosen.lab.lab_id,
        "runs": list(found.runs),
        "pipeline": job.pipeline,
        "stage": stage_of(job),
        "stage_type": job.stage_type,
        "status": statuses[found.job_id].value,
        "claimed_by": None if claim is None else str(claim.claimant),
        "parameters": dict(job.params),
        "inherited_parameters": {name: value for name, value in inherited.items() if name not in job.params},
        "resources": _resources(chosen, found),
        "inputs": _inputs(found),
        "outputs": _outputs(found, store, chosen),
        "upstream": {producer: statuses[producer].value for producer in job.producers},
        "downstream": list(downstream_of(run, [found.job_id])),
        "last_attempt": _attempt(read_attempt(paths.attempt)) if visible else None,
        "folder": str(paths.root),
        "stdout": str(paths.stdout),
        "stderr": str(paths.stderr),
        "script": str(chosen.lab.path / job.output_executable.path),
    }


def _resources(chosen: ChosenLab, found: FoundJob) -> dict[str, Any]:
    asked = resolve(chosen.rules, chosen.target.name, found.job_id, found.job.resource_hints)
    return {
        "cpus": asked.cpus,
        "memory": None if asked.mem is None else format_memory(asked.mem),
        "time": None if asked.time is None else format_time(asked.time),
        "partition": asked.partition,
        "sbatch_opts": list(asked.sbatch_opts),
    }


def _inputs(found: FoundJob) -> dict[str, str]:
    return {
        mapping.target_input: _source(mapping)
        for executable in found.job.executables.values()
        for mapping in executable.inputs
    }


def _source(mapping: InputMapping) -> str:
    if mapping.job_id == "self":
        return f"output {mapping.source_output} of its own scatter"
    if mapping.job_id is not None:
        return f"output {mapping.source_output} of {mapping.job_id}"
    if mapping.source_run is not None:
        return f"metadata of run {mapping.source_run}"
    if mapping.source_value == "store_base":
        return "the store's base path"
    return mapping.source or mapping.source_value or "unknown"


def _outputs(found: FoundJob, store: OutputStore, chosen: ChosenLab) -> dict[str, str]:
    rows = results(chosen.lab, found.run.name, store)
    return next({name: str(path) for name, path in row.outputs.items()} for row in rows if row.job_id == found.job_id)


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
        "made_by": None if claim is None else str(claim.claimant),
    }


def _moment(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds") if seconds else None


def _print(about: Mapping[str, Any]) -> None:
    sections = ("parameters", "inherited_parameters", "inputs", "outputs", "upstream")
    rows = [["job", about["job"]]]
    rows += [[name, ", ".join(value) if isinstance(value, list) else str(value)] for name, value in _lines(about)]
    print_table(rows)
    for name in sections:
        if about[name]:
            print(f"\n{name.replace('_', ' ')}:")
            print_table([["  " + key, _text(value)] for key, value in about[name].items()])
    if about["downstream"]:
        print("\ndownstream:")
        print("\n".join("  " + clean(job) for job in about["downstream"]))


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
    return ", ".join(parts)


def _text(value: Scalar | list[str]) -> str:
    return " ".join(value) if isinstance(value, list) else shown(value)
