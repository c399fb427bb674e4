"""Which parameter values a job stands for, its own and those of the jobs that it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_provider_repx.lab.models import JobId, Run, Scalar

__all__ = ["known_values"]


def known_values(run: Run, order: Iterable[JobId]) -> Mapping[JobId, Mapping[str, Scalar]]:
    """The values that describe each job; `order` lists the jobs of the run, producers first.

    They are the sweep's axes where the lab records them. Otherwise they are the job's parameters and those of its
    producers, the job's own first. A name on which producers disagree is left out: a job that gathers all seeds stands
    for none of them.
    """
    known: dict[JobId, Mapping[str, Scalar]] = {}
    for job_id in order:
        job = run.jobs[job_id]
        if job.axes is not None:
            known[job_id] = job.axes
            continue
        inherited = _agreed([known[producer] for producer in job.producers])
        known[job_id] = {**inherited, **job.params} if inherited else job.params
    return known


def _agreed(sources: list[Mapping[str, Scalar]]) -> Mapping[str, Scalar]:
    if len(sources) == 1:
        return sources[0]
    agreed: dict[str, Scalar] = {}
    disputed: set[str] = set()
    for source in sources:
        for name, value in source.items():
            other = agreed.setdefault(name, value)
            # True equals 1 in Python, but not in a lab.
            if other != value or type(other) is not type(value):
                disputed.add(name)
    return {name: value for name, value in agreed.items() if name not in disputed}
