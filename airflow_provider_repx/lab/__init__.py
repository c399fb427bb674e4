"""Labs as data: reading, checking, selecting. Importable without Airflow."""

from airflow_provider_repx.lab.graph import sink_step, step_order, steps_of, topological_order
from airflow_provider_repx.lab.lab import Lab
from airflow_provider_repx.lab.models import (
    DependencyKind,
    Executable,
    InputMapping,
    Job,
    JobId,
    LabReference,
    ResourceHints,
    Run,
    RunDependency,
    Scalar,
)
from airflow_provider_repx.lab.parameters import effective_parameters
from airflow_provider_repx.lab.reader import read_lab
from airflow_provider_repx.lab.reference import open_reference
from airflow_provider_repx.lab.selection import downstream_of, matching_jobs, select_jobs
from airflow_provider_repx.lab.units import format_memory, format_time, parse_memory, parse_time

__all__ = [
    "DependencyKind",
    "Executable",
    "InputMapping",
    "Job",
    "JobId",
    "Lab",
    "LabReference",
    "ResourceHints",
    "Run",
    "RunDependency",
    "Scalar",
    "downstream_of",
    "effective_parameters",
    "format_memory",
    "format_time",
    "matching_jobs",
    "open_reference",
    "parse_memory",
    "parse_time",
    "read_lab",
    "select_jobs",
    "sink_step",
    "step_order",
    "steps_of",
    "topological_order",
]
