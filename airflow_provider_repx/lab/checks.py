"""What a run's file must say beyond the types of its fields."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from airflow_provider_repx.lab.graph import find_order
from airflow_provider_repx.lab.integrity import confined
from airflow_provider_repx.lab.models import Executable, InputMapping, Job, JobId, RunMetadata
from airflow_provider_repx.lab.parsing import Problem, raise_for
from airflow_provider_repx.lab.step_checks import step_problems

__all__ = ["check_run"]

_JOB_ID = re.compile(r"[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]+")
"""32 characters of nix-base32 (no e, o, t, u), then what Nix allows in the name of a store path."""


def check_run(metadata: RunMetadata, upstream_runs: Collection[str], shown: str) -> None:
    """Check that a run is sound: ids, paths, executables, and that every input has a source.

    `upstream_runs` are the runs that it depends on, `shown` is what messages call its file.

    Raises:
        LabFormatError: it is not; the message names every problem.
        LabPathError: a path in it leaves the lab.

    """
    jobs = metadata.jobs
    problems: list[Problem] = []
    if metadata.image is not None:
        confined(metadata.image, f"{shown}: {metadata.name}: image")
    outputs = {job_id: job.output_executable.outputs for job_id, job in jobs.items() if _is_complete(job)}
    for job_id, job in jobs.items():
        if _JOB_ID.fullmatch(job_id) is None:
            problems.append(Problem(job_id, "", "not a job id: 32 characters of nix-base32, '-', name and version"))
        if job_id not in outputs:
            problems.append(Problem(job_id, "executables", _what_is_incomplete(job)))
        elif job.stage_type == "scatter-gather":
            problems += step_problems(job_id, job)
        for name, executable in job.executables.items():
            _check_path(executable.path, f"{shown}: {metadata.name}/{job_id}: executables.{name}.path")
            for index, mapping in enumerate(executable.inputs):
                text = _input_problem(mapping, job, jobs, outputs, upstream_runs)
                if text is not None:
                    problems.append(Problem(job_id, f"executables.{name}.inputs[{index}]", text))
    # Where a producer is missing there is no order to look for.
    if not problems:
        problems = _circle_problems(jobs)
    raise_for(problems, shown, metadata.name)


def _check_path(path: str, owner: str) -> None:
    # Nearly every path passes this test, which costs a tenth of the full one.
    if not path or path[0] == "/" or ".." in path or "\0" in path or path == ".":
        confined(path, owner)


def _is_complete(job: Job) -> bool:
    if job.stage_type == "simple":
        return "main" in job.executables
    return (
        "scatter" in job.executables
        and "gather" in job.executables
        and any(name.startswith("step-") for name in job.executables)
    )


def _what_is_incomplete(job: Job) -> str:
    found = ", ".join(job.executables) or "none"
    if job.stage_type == "simple":
        return f"a simple job needs the executable 'main'; found: {found}"
    if "worker" in job.executables:
        return (
            "has a 'worker' executable, as RepX 0.1 to 0.2.2 wrote it; this lab is too old: build it again with "
            "RepX 0.3 or newer, where the parallel part is made of steps"
        )
    return (
        f"a scatter-gather job needs the executables 'scatter', 'gather' and at least one 'step-<name>'; found: {found}"
    )


def _input_problem(
    mapping: InputMapping,
    job: Job,
    jobs: Mapping[JobId, Job],
    outputs: Mapping[JobId, Mapping[str, Any]],
    upstream_runs: Collection[str],
) -> str | None:
    producer = mapping.job_id
    if producer is None:
        return _run_problem(mapping, upstream_runs)
    if producer == "self":
        scatter: Executable | None = job.executables.get("scatter")
        known_outputs: Mapping[str, Any] | None = None if scatter is None else scatter.outputs
        if known_outputs is None:
            return "job_id: 'self' means the outputs of the job's own scatter, and this job has none"
    else:
        known_outputs = outputs.get(JobId(producer))
        if known_outputs is None:
            # The producer's own problem is reported in its place.
            return None if producer in jobs else f"job_id: reads from the job {producer!r}, which is not in this run"
    if mapping.source_output in known_outputs:
        return None
    if mapping.source_output is None:
        return f"source_output: missing; say which output of {producer!r} is read"
    listed = ", ".join(known_outputs) or "none"
    return f"source_output: the job {producer!r} has no output {mapping.source_output!r}; it has: {listed}"


def _run_problem(mapping: InputMapping, upstream_runs: Collection[str]) -> str | None:
    if mapping.source_run is not None and mapping.source_run not in upstream_runs:
        known = ", ".join(upstream_runs) or "none"
        return f"source_run: {mapping.source_run!r} is not among the run's dependencies ({known})"
    if mapping.type == "intra-pipeline":
        return "job_id: missing; an input of type 'intra-pipeline' names the job that it reads from"
    if mapping.type == "inter-run" and mapping.source_run is None:
        return "source_run: missing; an input of type 'inter-run' names the run that it reads about"
    return None


def _circle_problems(jobs: Mapping[JobId, Job]) -> list[Problem]:
    _, circle = find_order(jobs, lambda job_id: jobs[job_id].producers)
    if not circle:
        return []
    return [Problem(circle[0], "", f"jobs read from each other in a circle: {' <- '.join((*circle, circle[0]))}")]
