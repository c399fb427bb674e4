"""From stages and a sweep to jobs: one for each distinct assignment of the axes of a stage and of those upstream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import identity, resources
from .blueprint import Case, Executable, Lab, Pipeline, Run, Script, Shape, Stage
from .failure import BlueprintError
from .sweep import Narrowed, Narrower, index_of, positions

__all__ = ["Job", "RunJobs", "expand_lab"]


@dataclass
class Job:
    """One job, complete. `producers` maps an input to the id and pname of its producer and that job's output."""

    id: str
    name: str
    pname: str
    stage: Stage
    pipeline: str
    shape: Shape
    scripts: dict[str, Script]
    parameters: dict[str, Any]
    axes: dict[str, Any]
    producers: dict[str, tuple[str, str, str]]
    case: Case
    hints: dict[str, Any]
    part_hints: list[Mapping[str, Any]]

    def script_name(self, executable: Executable) -> str:
        """The file name of an executable in the job's `bin`."""
        return self.pname if executable.key == "main" else f"{self.pname}-{executable.key}"


@dataclass
class RunJobs:
    """The jobs of one run, by id, in sweep order; `digest` stands for all of them."""

    run: Run
    jobs: dict[str, Job] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Changes when any job of the run does."""
        return identity.digest(sorted(self.jobs))


@dataclass
class _Expanded:
    """A stage's jobs by the number of their sweep point, and the axes that tell them apart."""

    narrowed: list[Narrowed]
    seen: dict[int, frozenset[str]]
    jobs: list[Job]


class _PipelineExpansion:
    """Expands one pipeline of a run, stage by stage."""

    def __init__(self, run: Run, pipeline: Pipeline, narrower: Narrower, digests: Mapping[str, str]) -> None:
        self._run = run
        self._pipeline = pipeline
        self._narrower = narrower
        self._digests = digests
        self._done: dict[str, _Expanded] = {}

    def jobs(self) -> Iterator[Job]:
        for stage in self._pipeline.stages:
            expanded = self._expand(stage)
            self._done[stage.name] = expanded
            yield from expanded.jobs

    def _expand(self, stage: Stage) -> _Expanded:
        own = self._names(stage)
        seen = dict(own)
        for need in stage.needs:
            for axis, names in self._done[need].seen.items():
                seen[axis] = seen.get(axis, frozenset()) | names
        narrowed = [self._narrower.narrow(axis, seen[axis]) for axis in sorted(seen)]
        own_narrowed = [self._narrower.narrow(axis, own[axis]) for axis in sorted(own)]
        jobs = []
        for position in positions(narrowed):
            upstream = {
                need: self._done[need].jobs[index_of(self._done[need].narrowed, position)] for need in stage.needs
            }
            axes = {name: value for one in narrowed for name, value in self._narrower.values(one, position[one.axis])}
            jobs.append(self._job(stage, index_of(own_narrowed, position), axes, upstream))
        return _Expanded(narrowed, seen, jobs)

    def _names(self, stage: Stage) -> dict[int, frozenset[str]]:
        found = {}
        for number, axis in enumerate(self._narrower.axes):
            names = frozenset(name for name in axis.names if name in stage.parameters)
            if names:
                found[number] = names
        return found

    def _job(self, stage: Stage, instance: int, axes: dict[str, Any], upstream: dict[str, Job]) -> Job:
        shape = stage.shape.at(instance)
        case = self._case(stage, shape, axes, upstream)
        producers = {
            target: (upstream[producer].id, upstream[producer].pname, output)
            for target, producer, output in case.mappings
        }
        parameters = {
            name: axes[name] if axes.get(name) is not None else default for name, default in stage.parameters.items()
        }
        scripts = {executable.key: stage.scripts[executable.key].at(instance) for executable in shape.executables}
        pname = stage.pname.at(instance)
        name = f"{pname}-{stage.version}"
        content = [
            stage.kind,
            name,
            [[key, key if stage.hash_mode == "params-only" else script.digest] for key, script in scripts.items()],
            [[executable.key, executable.outputs, executable.mappings] for executable in shape.executables],
            parameters,
            sorted([target, *producer] for target, producer in producers.items()),
            [[run, self._digests[run] if kind == "hard" else ""] for run, kind in case.metadata_of],
        ]
        return Job(
            id=identity.identifier(content, name),
            name=name,
            pname=pname,
            stage=stage,
            pipeline=self._pipeline.name,
            shape=shape,
            scripts=scripts,
            parameters=parameters,
            axes=axes,
            producers=producers,
            case=case,
            hints=resources.inherit(stage.resources.at(instance), [upstream[need].hints for need in stage.needs]),
            part_hints=[part.at(instance) for part in stage.part_resources],
        )

    def _case(self, stage: Stage, shape: Shape, axes: dict[str, Any], upstream: dict[str, Job]) -> Case:
        """How this very job is wired; the names of inputs and outputs may differ from job to job."""
        case = stage.cases[(shape.inputs, tuple(upstream[item].shape.outputs for item in stage.items))]
        if case.error is not None:
            raise BlueprintError(f"{case.error} (for {_shown(axes)})")
        provided = {target for target, _, _ in case.mappings}
        for name in shape.inputs:
            default = shape.defaults.get(name)
            if name not in provided and default is not None and "error" in default:
                where = f"run '{self._run.name}', stage '{stage.name}'"
                problem = f"no dependency provides input '{name}', and {default['error']}"
                raise BlueprintError(f"{where}: {problem} (for {_shown(axes)})")
        return case


def _shown(axes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in axes.items()) or "its only job"


def expand_lab(lab: Lab) -> dict[str, RunJobs]:
    """The jobs of all runs, by the run's name, upstream runs first."""
    done: dict[str, RunJobs] = {}
    for run in lab.runs:
        narrower = Narrower(run.axes)
        digests = {name: finished.digest for name, finished in done.items()}
        expanded = RunJobs(run)
        for pipeline in run.pipelines:
            for job in _PipelineExpansion(run, pipeline, narrower, digests).jobs():
                # Two stages that do the same with the same parameters are one job, of the first of them.
                expanded.jobs.setdefault(job.id, job)
        done[run.name] = expanded
    return done
