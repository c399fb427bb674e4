"""The results of a run as rows: one per job, with the parameters that led to it and the paths of its outputs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.execution.store.listing import JobStatus
from airflow_provider_repx.execution.store.templates import expand_output
from airflow_provider_repx.lab import effective_parameters
from airflow_provider_repx.lab.models import Job, JobId, Scalar

if TYPE_CHECKING:
    from airflow_provider_repx.lab import Lab

__all__ = ["ResultRow", "Results", "results"]

_FIXED_COLUMNS = ("job", "stage", "status")


@dataclass(frozen=True)
class ResultRow:
    """One job of a run.

    `parameters` are its own and those of everything upstream of it. `outputs` are absolute paths by the output's name;
    they exist once `status` is succeeded.
    """

    job_id: JobId
    stage: str
    status: JobStatus
    parameters: Mapping[str, Scalar]
    outputs: Mapping[str, Path]

    def __getitem__(self, parameter: str) -> Scalar:
        """A parameter's value; raises `KeyError` naming those that there are."""
        try:
            return self.parameters[parameter]
        except KeyError:
            known = ", ".join(self.parameters) or "none"
            raise KeyError(f"{self.job_id} has no parameter {parameter!r}; its parameters: {known}") from None


@dataclass(frozen=True)
class Results:
    """The jobs of a run, in the run's order; iterate over it for its rows."""

    rows: tuple[ResultRow, ...]

    def __iter__(self) -> Iterator[ResultRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> ResultRow:
        return self.rows[index]

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Every parameter of any row, in order of first appearance."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.parameters))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Every output of any row, in order of first appearance."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.outputs))

    def where(
        self, *, stage: str | None = None, status: JobStatus | str | None = None, **parameters: Scalar
    ) -> Results:
        """The rows of a stage, of a status, and with these values of parameters."""
        return Results(
            tuple(
                row
                for row in self.rows
                if (stage is None or row.stage == stage)
                and (status is None or row.status == status)
                and all(name in row.parameters and row.parameters[name] == value for name, value in parameters.items())
            )
        )

    def to_table(self) -> list[list[str]]:
        """A header and one line per row, as text: job, stage, status, parameters, outputs. Absent values are empty."""
        parameters, outputs = self.parameter_names, self.output_names
        lines = (
            [
                row.job_id,
                row.stage,
                row.status.value,
                *(_shown(row.parameters.get(name)) for name in parameters),
                *(str(row.outputs.get(name, "")) for name in outputs),
            ]
            for row in self.rows
        )
        return [[*_FIXED_COLUMNS, *parameters, *outputs], *lines]

    def to_csv(self) -> str:
        """The table as comma-separated values, each line ended by a line feed."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self.to_table())
        return text.getvalue()

    def to_json(self) -> str:
        """A JSON array with one object per row: job, stage, status, parameters, outputs."""
        rows: list[dict[str, Any]] = [
            {
                "job": row.job_id,
                "stage": row.stage,
                "status": row.status.value,
                "parameters": dict(row.parameters),
                "outputs": {name: str(path) for name, path in row.outputs.items()},
            }
            for row in self.rows
        ]
        return json.dumps(rows, indent=2, ensure_ascii=False)


def results(
    lab: Lab, run_name: str, store: OutputStore, *, statuses: Mapping[JobId, JobStatus] | None = None
) -> Results:
    """What a run has produced so far in a store, whoever ran its jobs.

    `statuses` are those of its jobs, where the store was asked for them before.

    Raises `LabLookupError` for an unknown run and `StoreError` when the store cannot be listed.
    """
    run = lab.run(run_name)
    statuses = store.statuses(run.jobs) if statuses is None else statuses
    inherited = effective_parameters(run)
    return Results(
        tuple(
            ResultRow(
                job_id=job_id,
                stage=job.stage or _package_name(job),
                status=statuses[job_id],
                parameters=inherited[job_id],
                outputs=_outputs(job, store.job(job_id).out),
            )
            for job_id, job in run.jobs.items()
        )
    )


def _package_name(job: Job) -> str:
    """The stage's `pname`: a job is called ``<pname>-<version>``."""
    return job.name.rpartition("-")[0] or job.name


def _outputs(job: Job, out: Path) -> Mapping[str, Path]:
    templates = job.output_executable.outputs
    return {
        name: Path(expand_output(template, str(out)))
        for name, template in templates.items()
        if isinstance(template, str)
    }


def _shown(value: Scalar) -> str:
    """A value as RepX's scripts see it: JSON for truth values, plain text for text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
