"""What is run under one claim, whoever runs it: a job, or one part of a scatter-gather job."""

from airflow_provider_repx.execution.units.branches import (
    UnfinishedBranch,
    branches_command,
    branches_input,
    describe_unfinished,
    rejection_command,
    settle_branches,
    unfinished_branches,
)
from airflow_provider_repx.execution.units.bundles import Branch, Bundle, bundled, part_units, step_units, units_before
from airflow_provider_repx.execution.units.prepare import prepare_unit
from airflow_provider_repx.execution.units.prepared import PreparedUnit
from airflow_provider_repx.execution.units.unit import Unit, UnitPart
from airflow_provider_repx.execution.units.work_items import WorkItem, parse_work_items, read_work_items

__all__ = [
    "Branch",
    "Bundle",
    "PreparedUnit",
    "UnfinishedBranch",
    "Unit",
    "UnitPart",
    "WorkItem",
    "branches_command",
    "branches_input",
    "bundled",
    "describe_unfinished",
    "parse_work_items",
    "part_units",
    "prepare_unit",
    "read_work_items",
    "rejection_command",
    "settle_branches",
    "step_units",
    "unfinished_branches",
    "units_before",
]
