"""What the steps of a scatter-gather job must say beyond the types of their fields."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_repx.lab.graph import find_order, sink_step, steps_of
from airflow_provider_repx.lab.models import Executable, InputMapping, Job, JobId
from airflow_provider_repx.lab.parsing import Problem

__all__ = ["step_problems"]

_WORK_ITEM = "scatter:work_item"
_WORKER_OUTPUTS = "runner:worker_outputs"


def step_problems(job_id: JobId, job: Job) -> list[Problem]:
    """What is wrong with the steps of a job that has `scatter`, `gather` and at least one step."""
    steps = steps_of(job)
    # A step has a folder of its name in the output store.
    problems = [
        Problem(job_id, f"executables.step-{name}", "the name of a step may not hold '/' or a NUL character")
        for name in steps
        if "/" in name or "\0" in name
    ]
    problems += [
        Problem(job_id, f"executables.step-{name}.deps", f"there is no step {dependency!r}; steps: {', '.join(steps)}")
        for name, step in steps.items()
        for dependency in step.deps
        if dependency not in steps
    ]
    if problems:
        return problems
    _, circle = find_order(steps, lambda name: steps[name].deps)
    if circle:
        path = " <- ".join((*circle, circle[0]))
        return [Problem(job_id, "executables", f"steps depend on each other in a circle: {path}")]
    depended_on = {dependency for step in steps.values() for dependency in step.deps}
    sinks = [name for name in steps if name not in depended_on]
    if len(sinks) > 1:
        text = f"exactly one step may be the last, which no other depends on; these are: {', '.join(sinks)}"
        return [Problem(job_id, "executables", text)]
    return _sink_problems(job_id, job, steps) + _source_problems(job_id, job, steps)


def _sink_problems(job_id: JobId, job: Job, steps: Mapping[str, Executable]) -> list[Problem]:
    sink = sink_step(job)
    outputs = steps[sink].outputs
    if len(outputs) == 1:
        return []
    text = f"the last step has exactly one output, which gather reads; found: {', '.join(outputs) or 'none'}"
    return [Problem(job_id, f"executables.step-{sink}.outputs", text)]


def _source_problems(job_id: JobId, job: Job, steps: Mapping[str, Executable]) -> list[Problem]:
    problems = []
    for name, executable in job.executables.items():
        for index, mapping in enumerate(executable.inputs):
            text = None if mapping.source is None else _source_problem(name, executable, mapping, steps)
            if text is not None:
                problems.append(Problem(job_id, f"executables.{name}.inputs[{index}].source", text))
    return problems


def _source_problem(
    name: str, executable: Executable, mapping: InputMapping, steps: Mapping[str, Executable]
) -> str | None:
    source = mapping.source or ""
    in_step = name.startswith("step-")
    if (source == _WORK_ITEM and in_step) or (source == _WORKER_OUTPUTS and name == "gather"):
        return None
    if not (source.startswith("step:") and in_step):
        return f"{name} cannot read from {source!r}"
    step = source.removeprefix("step:")
    if step not in steps:
        return f"there is no step {step!r}; steps: {', '.join(steps)}"
    if step not in executable.deps:
        return f"reads from the step {step!r}, which is not in its deps"
    known = steps[step].outputs
    if mapping.source_output in known:
        return None
    return f"the step {step!r} has no output {mapping.source_output!r}; it has: {', '.join(known) or 'none'}"
