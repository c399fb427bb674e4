"""The two files that a job's script reads: where its inputs are, and its parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping

from airflow_provider_repx.errors import JobInputError, LabError
from airflow_provider_repx.execution.store.files import make_folder, write_atomically
from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.lab import Lab
from airflow_provider_repx.lab.models import InputMapping, Job, JobId, Run, Scalar

__all__ = ["expand_output", "parameters", "resolve_inputs", "write_inputs"]


def expand_output(template: str, out: str) -> str:
    """The path that an output template stands for; `out` is the job's folder of results."""
    # In one pass, so that a folder whose own name contains "$out" is left alone.
    return out.join(part.replace("${out}", out) for part in template.split("$out"))


def parameters(job: Job) -> Mapping[str, Scalar]:
    """The parameters that a job's script is given: its own only."""
    return dict(job.params)


def resolve_inputs(
    lab: Lab, run: Run, job_id: JobId, store: OutputStore, *, executable: str = "main"
) -> Mapping[str, str]:
    """The path (or other text) of each input of one executable of a job, by the input's name.

    An output of another job becomes its path in the store, ``metadata__<run>`` the metadata file of that run in this
    very lab, ``store__base`` the store's base path.

    Raises `JobInputError` when a producer is not done in the store, or an input does not say where it comes from.
    """
    found: dict[str, str] = {}
    mappings = run.jobs[job_id].executables[executable].inputs
    producers = {JobId(mapping.job_id) for mapping in mappings if mapping.job_id is not None}
    done = store.succeeded(producers)
    for mapping in mappings:
        where = f"{lab.path}: {run.name}/{job_id}: input {mapping.target_input!r}"
        if mapping.job_id is not None:
            found[mapping.target_input] = _from_producer(run, mapping, store, done, where)
        elif mapping.type == "inter-run":
            found[mapping.target_input] = _from_run(lab, mapping, where)
        elif mapping.type == "global" and mapping.source_value == "store_base":
            found[mapping.target_input] = str(store.base_path)
        else:
            raise JobInputError(
                f"{where}: it is neither an output of a job, nor a run, nor the store's base path, so it cannot be"
                f" resolved for the executable {executable!r}. Rebuild the lab."
            )
    return found


def write_inputs(
    store: OutputStore, job_id: JobId, inputs: Mapping[str, str], own_parameters: Mapping[str, Scalar]
) -> None:
    """Write ``inputs.json`` and ``parameters.json`` of a job, as RepX does; raises `StoreError`."""
    paths = store.job(job_id)
    make_folder(paths.repx)
    write_atomically(paths.inputs, _pretty(inputs))
    write_atomically(paths.parameters, _pretty(own_parameters))


def _pretty(content: Mapping[str, Scalar]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode()


def _from_producer(run: Run, mapping: InputMapping, store: OutputStore, done: frozenset[JobId], where: str) -> str:
    producer_id = JobId(mapping.job_id or "")
    producer = run.jobs.get(producer_id)
    if producer is None:
        raise JobInputError(f"{where}: its producer {producer_id} is not a job of this run. Rebuild the lab.")
    outputs = producer.output_executable.outputs
    template = outputs.get(mapping.source_output or "")
    if not isinstance(template, str):
        known = ", ".join(sorted(outputs)) or "none"
        raise JobInputError(
            f"{where}: its producer {producer_id} has no output {mapping.source_output!r}; its outputs: {known}."
        )
    if producer_id not in done:
        raise JobInputError(
            f"{where}: its producer {producer_id} is not done in {store.outputs} (status:"
            f" {store.status(producer_id)}). Run it first; its log is {store.job(producer_id).stderr}."
        )
    return expand_output(template, str(store.job(producer_id).out))


def _from_run(lab: Lab, mapping: InputMapping, where: str) -> str:
    try:
        return str(lab.file(lab.run(mapping.source_run or "").metadata))
    except LabError as error:
        raise JobInputError(
            f"{where}: the metadata of the run {mapping.source_run!r} cannot be used: {error}"
        ) from error
