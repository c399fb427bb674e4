"""From what a person types to runs and jobs of a lab."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from airflow_provider_repx.errors import CommandLineError, LabLookupError
from airflow_provider_repx.lab import Job, JobId, Lab, Run, select_jobs

__all__ = ["FoundJob", "SelectedJobs", "find_job", "find_runs", "match_jobs", "require_jobs", "select", "stage_of"]

_SHOWN = 10


@dataclass(frozen=True)
class FoundJob:
    """A job, and every run that has it; `run` is the first of them."""

    job_id: JobId
    run: Run
    runs: tuple[str, ...]

    @property
    def job(self) -> Job:
        """The job itself."""
        return self.run.jobs[self.job_id]


@dataclass(frozen=True)
class SelectedJobs:
    """Jobs of one run, in the run's order."""

    run: Run
    jobs: tuple[JobId, ...]


def stage_of(job: Job) -> str:
    """The name of a job's stage; where the lab does not tell, the stage's `pname`: a job is ``<pname>-<version>``."""
    return job.stage or job.name.rpartition("-")[0] or job.name


def find_runs(lab: Lab, specs: Iterable[str]) -> tuple[str, ...]:
    """The runs that are named, ``@group`` standing for its members, upstream runs first.

    Raises `LabLookupError` for an unknown run or group.
    """
    wanted: set[str] = set()
    for spec in specs:
        if spec.startswith("@"):
            wanted.update(lab.runs_in_group(spec[1:]))
        else:
            wanted.add(lab.run(spec).name)
    # A slice of a lab also knows runs that it does not list.
    listed = [name for name in lab.run_names if name in wanted]
    return (*sorted(wanted - set(listed)), *listed)


def find_job(lab: Lab, start: str) -> FoundJob:
    """The job whose id is, or alone begins with, what is given.

    Raises `CommandLineError` where no job's id does, or several jobs' ids do; the message lists those.
    """
    runs = [lab.run(name) for name in lab.run_names]
    found = _starting(runs, start)
    if len(found) == 1:
        (job_id,) = found
        having = [run for run in runs if job_id in run.jobs]
        return FoundJob(job_id, having[0], tuple(run.name for run in having))
    if not found:
        raise CommandLineError(
            f"{lab.path}: no job's id begins with {start!r}. `airflow repx list jobs` shows all of them."
        )
    shown = sorted(found)[:_SHOWN]
    more = f", and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
    raise CommandLineError(f"{start!r} begins the ids of {len(found)} jobs: {', '.join(shown)}{more}. Give more of it.")


def select(lab: Lab, spec: str | None) -> tuple[SelectedJobs, ...]:
    """The jobs that a SPEC stands for, by run: a run, ``@group``, the beginning of a run's name or of a job's id.

    Without a SPEC it is every run. Raises `CommandLineError` or `LabLookupError`.
    """
    if spec is None:
        return tuple(map(_whole, map(lab.run, lab.run_names)))
    if spec.startswith("@"):
        return tuple(map(_whole, map(lab.run, find_runs(lab, [spec]))))
    if spec in lab.run_names:
        return (_whole(lab.run(spec)),)
    named = [name for name in lab.run_names if spec and name.startswith(spec)]
    if len(named) == 1:
        return (_whole(lab.run(named[0])),)
    if named:
        raise CommandLineError(f"{spec!r} begins the names of several runs: {', '.join(named)}. Give more of it.")
    if not _starting([lab.run(name) for name in lab.run_names], spec):
        raise LabLookupError(
            f"{lab.path}: {spec!r} is no run, and begins no job's id; its runs: {', '.join(lab.run_names) or 'none'}"
        )
    found = find_job(lab, spec)
    return tuple(SelectedJobs(lab.run(name), (found.job_id,)) for name in found.runs)


def require_jobs(run: Run, patterns: Sequence[str]) -> tuple[JobId, ...]:
    """The jobs that patterns stand for, with what they depend on; raises `LabLookupError` where one matches nothing."""
    return select_jobs(run, [pattern.strip() for pattern in patterns if pattern.strip()])


def match_jobs(run: Run, patterns: Sequence[str]) -> tuple[JobId, ...]:
    """The jobs that patterns stand for, without what they depend on; raises like `require_jobs`."""
    # The same run without wiring: there nothing depends on anything.
    unwired = {
        job_id: Job.model_construct(
            name=job.name, stage_type=job.stage_type, params=job.params, executables={}, stage=job.stage
        )
        for job_id, job in run.jobs.items()
    }
    return require_jobs(replace(run, jobs=unwired), patterns)


def _whole(run: Run) -> SelectedJobs:
    return SelectedJobs(run, tuple(run.jobs))


def _starting(runs: Iterable[Run], start: str) -> set[JobId]:
    found: set[JobId] = set()
    for run in runs:
        if start in run.jobs:
            return {JobId(start)}
        # Every id begins with nothing, which is no choice.
        if start:
            found.update(job_id for job_id in run.jobs if job_id.startswith(start))
    return found
