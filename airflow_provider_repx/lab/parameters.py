"""The parameters that shaped a job's result: its own and those of everything upstream of it."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_repx.lab.graph import topological_order
from airflow_provider_repx.lab.models import JobId, Run, Scalar
from airflow_provider_repx.lab.parsing import collection_paused

__all__ = ["effective_parameters"]


def effective_parameters(run: Run) -> Mapping[JobId, Mapping[str, Scalar]]:
    """The effective parameters of each job of `run`, in topological order: what ``repx trace-params`` prints.

    A job's own parameters win over those of its producers, and a producer's over those further up; of two producers the
    one that the job reads first wins. Each job is merged once, from the finished mappings of its producers, so the time
    is linear in what is read; jobs that add nothing share their producer's mapping.
    """
    effective: dict[JobId, Mapping[str, Scalar]] = {}
    with collection_paused():
        for job_id in topological_order(run):
            job = run.jobs[job_id]
            # By identity: the jobs of a stage without parameters all share their producer's mapping.
            inherited = list({id(effective[producer]): effective[producer] for producer in job.producers}.values())
            if len(inherited) == 1 and not job.params:
                effective[job_id] = inherited[0]
                continue
            merged: dict[str, Scalar] = {}
            for values in reversed(inherited):
                merged.update(values)
            merged.update(job.params)
            effective[job_id] = merged
    return effective
