"""Where the inputs of a job's executables are: from the lab's wiring to paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_repx.errors import JobInputError, LabError
from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.execution.store.templates import expand_output
from airflow_provider_repx.execution.units.unit import Unit
from airflow_provider_repx.lab.graph import steps_of
from airflow_provider_repx.lab.models import InputMapping, JobId, Run

if TYPE_CHECKING:
    from airflow_provider_repx.lab.lab import Lab

__all__ = ["InputResolver"]


class InputResolver:
    """The inputs of one job, as its scripts are told them; looks at the lab only."""

    def __init__(self, lab: Lab, run: Run, job_id: JobId, store: OutputStore, lab_root: Path | None) -> None:
        """`lab_root` is where the machine that runs the job has the lab; absent, the lab's own folder."""
        self._lab = lab
        self._run = run
        self._job_id = job_id
        self._job = run.jobs[job_id]
        self._store = store
        self._lab_root = lab_root

    def lab_file(self, relative: str) -> Path:
        """Where a file of the lab is; its checksum is verified unless another machine has the lab."""
        return self._lab.file(relative) if self._lab_root is None else self._lab_root / relative

    def of(self, executable: str, *, branch: int | None = None, manifest: Path | None = None) -> dict[str, str]:
        """The path (or other text) of each input of one executable, by the input's name, in the lab's order.

        An output of another job becomes its path in the store, ``metadata__<run>`` the metadata file of that run in
        this very lab, ``store__base`` the store's base path; in a step of `branch`, the work item becomes the path of
        its file, and another step's output the path that it has in this branch; `manifest` is where gather finds the
        outputs of all branches.

        Raises `JobInputError` for an input that does not say where it comes from.
        """
        return {
            mapping.target_input: self._resolved(mapping, executable, branch, manifest)
            for mapping in self._job.executables[executable].inputs
        }

    def _resolved(self, mapping: InputMapping, executable: str, branch: int | None, manifest: Path | None) -> str:
        where = f"{self._lab.path}: {self._run.name}/{self._job_id}: input {mapping.target_input!r}"
        if mapping.job_id not in (None, "self"):
            return self._from_producer(mapping, where)
        if mapping.type == "inter-run":
            return self._from_run(mapping, where)
        if mapping.type == "global" and mapping.source_value == "store_base":
            return str(self._store.base_path)
        inner = self._from_within(mapping, branch, manifest, where)
        if inner is not None:
            return inner
        raise JobInputError(
            f"{where}: it is neither an output of a job, nor a run, nor the store's base path, so it cannot be"
            f" resolved for the executable {executable!r}. Rebuild the lab."
        )

    def _from_within(self, mapping: InputMapping, branch: int | None, manifest: Path | None, where: str) -> str | None:
        """What comes from other parts of the same job; `None` where it does not, or is not for this part."""
        if mapping.job_id == "self":
            out = Unit(self._job_id, "scatter").paths(self._store).out
            return self._output(self._job.executables["scatter"].outputs, mapping, out, where, "scatter")
        if mapping.source == "runner:worker_outputs" and manifest is not None:
            return str(manifest)
        if branch is not None and mapping.source == "scatter:work_item":
            return str(self._store.job(self._job_id).work_item(branch))
        if branch is not None and (mapping.source or "").startswith("step:"):
            return self._from_step(mapping, branch, where)
        return None

    def _from_producer(self, mapping: InputMapping, where: str) -> str:
        producer_id = JobId(mapping.job_id or "")
        producer = self._run.jobs.get(producer_id)
        if producer is None:
            raise JobInputError(f"{where}: its producer {producer_id} is not a job of this run. Rebuild the lab.")
        out = self._store.job(producer_id).out
        return self._output(producer.output_executable.outputs, mapping, out, where, producer_id)

    def _from_step(self, mapping: InputMapping, branch: int, where: str) -> str:
        name = (mapping.source or "").removeprefix("step:")
        step = steps_of(self._job).get(name)
        outputs: Mapping[str, Any] = {} if step is None else step.outputs
        out = Unit(self._job_id, "step", branch, name).paths(self._store).out
        return self._output(outputs, mapping, out, where, f"step {name}")

    def _from_run(self, mapping: InputMapping, where: str) -> str:
        try:
            return str(self.lab_file(self._lab.run(mapping.source_run or "").metadata))
        except LabError as error:
            raise JobInputError(
                f"{where}: the metadata of the run {mapping.source_run!r} cannot be used: {error}"
            ) from error

    def _output(self, outputs: Mapping[str, Any], mapping: InputMapping, out: Path, where: str, producer: str) -> str:
        template = outputs.get(mapping.source_output or "")
        if not isinstance(template, str):
            known = ", ".join(sorted(outputs)) or "none"
            raise JobInputError(
                f"{where}: its producer {producer} has no output {mapping.source_output!r}; its outputs: {known}."
            )
        return expand_output(template, str(out))
