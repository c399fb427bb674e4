"""From a unit of a lab to what is started: script, inputs, parameters, and which other units it concerns.

Pure: reads nothing but the lab, since the store may lie on another machine. File names and contents are RepX's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_repx.errors import JobInputError, LabLookupError
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.execution.store.templates import expand_output
from airflow_provider_repx.execution.units.inputs import InputResolver
from airflow_provider_repx.execution.units.prepared import PreparedUnit
from airflow_provider_repx.execution.units.unit import Unit
from airflow_provider_repx.lab.graph import sink_step, step_order, steps_of
from airflow_provider_repx.lab.models import Job, JobId, Run

if TYPE_CHECKING:
    from airflow_provider_repx.lab.lab import Lab

__all__ = ["find_job", "prepare_unit"]


def prepare_unit(
    lab: Lab, run: Run, unit: Unit, store: OutputStore, *, lab_root: Path | None = None, branches: int | None = None
) -> PreparedUnit:
    """Everything that has to be known to start a unit of a run.

    Args:
        lab: The lab that the run belongs to.
        run: The run, for the jobs that the unit reads from.
        unit: What is to be started.
        store: The output store, by its path on the machine where the unit will run.
        lab_root: Where that machine has the lab. By default the lab's own folder; then the checksum of each file that
            is referred to is verified.
        branches: The number of work items; a gather cannot be prepared without.

    Raises:
        LabLookupError: the run has no such job, or the job no such part.
        JobInputError: an input does not say where it comes from, or the branches of a gather are not known.
        LabError: a file of the lab is not what its manifest promises.

    """
    job = find_job(lab, run, unit)
    preparation = _Preparation(lab, run, unit, job, store, lab_root)
    if unit.part == "main":
        return preparation.main()
    if unit.part == "scatter":
        return preparation.scatter()
    if unit.part == "step":
        return preparation.step()
    if branches is None:
        raise JobInputError(
            f"{lab.path}: {run.name}/{unit.job_id}: gather reads the outputs of all branches, and how many there are"
            " is not known before scatter is done."
        )
    return preparation.gather(branches)


def find_job(lab: Lab, run: Run, unit: Unit) -> Job:
    """The job that a unit belongs to; raises `LabLookupError` when the run has no such job, or the job no such part."""
    job = run.jobs.get(unit.job_id)
    if job is None:
        raise LabLookupError(
            f"{lab.path}: run {run.name!r}: there is no job called {unit.job_id!r}, so it cannot be run."
        )
    if unit.executable not in job.executables:
        kind = "a simple job" if job.stage_type == "simple" else "a scatter-gather job"
        known = ", ".join(job.executables)
        raise LabLookupError(
            f"{lab.path}: run {run.name!r}: {unit.job_id} is {kind} without an executable {unit.executable!r}, so that"
            f" cannot be run; it has: {known}."
        )
    return job


class _Preparation:
    """What the preparation of any part of a job needs."""

    def __init__(self, lab: Lab, run: Run, unit: Unit, job: Job, store: OutputStore, lab_root: Path | None) -> None:
        self._unit = unit
        self._job = job
        self._store = store
        self._whole: JobPaths = store.job(unit.job_id)
        self._inputs = InputResolver(lab, run, unit.job_id, store, lab_root)
        self._executable = self._inputs.lab_file(job.executables[unit.executable].path)

    def main(self) -> PreparedUnit:
        return PreparedUnit(
            unit=self._unit,
            paths=self._whole,
            executable=self._executable,
            inputs=self._whole.inputs,
            parameters=self._whole.parameters,
            files=self._job_files(),
            needs=self._producers(self._unit.executable),
        )

    def scatter(self) -> PreparedUnit:
        return PreparedUnit(
            unit=self._unit,
            paths=self._unit.paths(self._store),
            executable=self._executable,
            inputs=self._whole.inputs,
            parameters=self._whole.parameters,
            files=self._job_files(),
            # Whatever a later part reads has to be there before anything is scattered.
            needs=tuple(self._store.job(producer) for producer in self._job.producers),
            outdates=(self._whole,),
            fails=(self._whole,),
        )

    def step(self) -> PreparedUnit:
        paths = self._unit.paths(self._store)
        inputs = self._inputs.of(self._unit.executable, branch=self._unit.branch)
        deps = steps_of(self._job)[self._unit.step or ""].deps
        before = [self._step(name) for name in deps] or [Unit(self._unit.job_id, "scatter")]
        return PreparedUnit(
            unit=self._unit,
            paths=paths,
            executable=self._executable,
            inputs=paths.inputs,
            parameters=self._whole.parameters,
            files={paths.inputs: pretty_json(inputs)},
            needs=(*(unit.paths(self._store) for unit in before), *self._producers(self._unit.executable)),
            made_from=(
                self._whole.work_item(self._unit.branch or 0),
                *(self._step(name).paths(self._store).success for name in deps),
            ),
            outdates=(*(self._step(name).paths(self._store) for name in self._behind()), self._whole),
        )

    def gather(self, branches: int) -> PreparedUnit:
        sink = sink_step(self._job)
        [(output, template)] = steps_of(self._job)[sink].outputs.items()
        sinks = [Unit(self._unit.job_id, "step", branch, sink).paths(self._store) for branch in range(branches)]
        gather_inputs = self._whole.repx / "gather_inputs.json"
        manifest = self._whole.repx / "worker_outs_manifest.json"
        inputs = self._inputs.of("scatter") | self._inputs.of("gather", manifest=manifest)
        outs = [{output: expand_output(str(template), str(paths.out))} for paths in sinks]
        return PreparedUnit(
            unit=self._unit,
            paths=self._whole,
            executable=self._executable,
            inputs=gather_inputs,
            parameters=self._whole.parameters,
            files={gather_inputs: pretty_json(inputs), manifest: pretty_json(outs)},
            needs=(
                Unit(self._unit.job_id, "scatter").paths(self._store),
                *sinks,
                *self._producers("gather"),
            ),
        )

    def _job_files(self) -> dict[Path, bytes]:
        inputs = self._inputs.of("main" if self._unit.part == "main" else "scatter")
        return {
            self._whole.inputs: pretty_json(inputs),
            self._whole.parameters: pretty_json(dict(self._job.params)),
        }

    def _producers(self, executable: str) -> tuple[JobPaths, ...]:
        found = {
            JobId(mapping.job_id): None
            for mapping in self._job.executables[executable].inputs
            if mapping.job_id is not None and mapping.job_id != "self"
        }
        return tuple(self._store.job(producer) for producer in found)

    def _step(self, name: str) -> Unit:
        return Unit(self._unit.job_id, "step", self._unit.branch, name)

    def _behind(self) -> list[str]:
        """The steps that read from this one, directly or through others, in the order of the steps."""
        steps = steps_of(self._job)
        reached = {self._unit.step}
        found = []
        for name in step_order(self._job):
            if name not in reached and reached.intersection(steps[name].deps):
                reached.add(name)
                found.append(name)
        return found


def pretty_json(content: Any) -> bytes:
    """JSON as RepX writes it."""
    return json.dumps(content, indent=2, ensure_ascii=False).encode()
