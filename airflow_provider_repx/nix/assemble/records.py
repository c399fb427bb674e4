"""The JSON records of a lab, in RepX's format (0.5).

`stage`, `pipeline` and `axes` of a job are this library's own; RepX ignores them. Fields without a value are left out.
"""

from __future__ import annotations

from typing import Any

from .blueprint import Executable, Lab
from .jobs import Job, RunJobs
from .resources import with_fallback

__all__ = ["input_dependencies", "root_record", "run_metadata_path", "run_record"]

_REPX_VERSION = "0.5.0"
"""The version of the format, which RepX's own tools compare with theirs."""


def run_metadata_path(run: str) -> str:
    """Where a run's metadata is, relative to the lab."""
    return f"revision/metadata-{run}.json"


def root_record(lab: Lab) -> dict[str, Any]:
    """`revision/metadata-top.json`; runs in order of dependency."""
    record: dict[str, Any] = {
        "repx_version": _REPX_VERSION,
        "type": "root",
        "gitHash": lab.git_hash,
        "runs": [run_metadata_path(run.name) for run in lab.runs if run.name in lab.chosen],
    }
    if lab.groups:
        record["groups"] = lab.groups
    return record


def run_record(lab: Lab, run: RunJobs, image: str | None) -> dict[str, Any]:
    """`revision/metadata-<run>.json`; jobs in sweep order, stage by stage."""
    record: dict[str, Any] = {
        "type": "run",
        "name": run.run.name,
        "gitHash": lab.git_hash,
        "dependencies": {run_metadata_path(one.run): one.type for one in run.run.dependencies},
    }
    if image is not None:
        record["image"] = image
    record["jobs"] = {job.id: _job_record(job) for job in run.jobs.values()}
    return record


def _job_record(job: Job) -> dict[str, Any]:
    given = _given_inputs(job)
    record: dict[str, Any] = {
        "name": job.name,
        "stage_type": job.stage.kind,
        "params": job.parameters,
        "executables": {
            executable.key: _executable_record(job, place, executable, given)
            for place, executable in enumerate(job.shape.executables)
        },
    }
    if job.hints:
        record["resource_hints"] = job.hints
    record["stage"] = job.stage.name
    record["pipeline"] = job.pipeline
    record["axes"] = job.axes
    return record


def _given_inputs(job: Job) -> dict[str, dict[str, str]]:
    """The inputs that come from outside of the job, by name."""
    given = {
        target: {
            "type": "intra-pipeline",
            "job_id_template": pname,
            "job_id": producer,
            "source_output": output,
            "target_input": target,
        }
        for target, (producer, pname, output) in job.producers.items()
    }
    for run, kind in job.case.metadata_of:
        target = f"metadata__{run}"
        given[target] = {"type": "inter-run", "source_run": run, "dependency_type": kind, "target_input": target}
    if job.case.store_base:
        given["store__base"] = {"type": "global", "source_value": "store_base", "target_input": "store__base"}
    return given


def _executable_record(
    job: Job, place: int, executable: Executable, given: dict[str, dict[str, str]]
) -> dict[str, Any]:
    # The runner makes a job's inputs.json from its first executable, so that one names all of them.
    wanted = given if place == 0 else {name: given[name] for name in executable.externals if name in given}
    record: dict[str, Any] = {
        "path": f"jobs/{job.id}/bin/{job.script_name(executable)}",
        "inputs": [*executable.mappings, *wanted.values()],
        "outputs": executable.outputs,
    }
    if executable.deps:
        record["deps"] = executable.deps
    if job.stage.kind == "scatter-gather":
        hints = with_fallback(job.part_hints[place], job.hints)
        if hints:
            record["resource_hints"] = hints
    return record


def input_dependencies(job: Job) -> list[str]:
    """`nix-input-dependencies.json`: jobs that the job reads from, and one entry per run that it waits for."""
    jobs = dict.fromkeys(producer for producer, _, _ in job.producers.values())
    return [*jobs, *(run_metadata_path(run) for run, kind in job.case.metadata_of if kind == "hard")]
