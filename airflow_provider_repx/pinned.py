"""What a DAG run is pinned to: the lab and the plan that its first task found.

That task pushes both as XComs; every later task, on a worker or in the triggerer, compares them with its own.
"""

from __future__ import annotations

from airflow_provider_repx.errors import LabChangedError
from airflow_provider_repx.lab import LabReference
from airflow_provider_repx.plan import RunPlan

__all__ = ["LAB_ID_KEY", "OPEN_LAB_TASK_ID", "PLAN_KEY", "compare_lab", "compare_plan"]

OPEN_LAB_TASK_ID = "open_lab"
LAB_ID_KEY = "lab_id"
PLAN_KEY = "plan"


def compare_lab(started_with: object, lab: LabReference) -> None:
    """Raise `LabChangedError` unless `started_with`, the XCom `lab_id`, says this very lab."""
    if started_with is None:
        raise LabChangedError(
            f"Task {OPEN_LAB_TASK_ID} has not succeeded in this DAG run, so its lab is not known. Nothing was run."
            f" Clear {OPEN_LAB_TASK_ID} with everything downstream, or trigger the DAG again."
        )
    if started_with != lab.lab_id:
        raise LabChangedError(
            f"This DAG run started with lab {lab.name!r} as {started_with}, but its DAG file now describes"
            f" {lab.lab_id} ({lab.path}): the lab was rebuilt meanwhile. Nothing was run. Trigger the DAG again for"
            " the new lab (jobs that did not change are reused), or serve the lab through RepxLabBundle, which keeps"
            " each DAG run on the lab it started with."
        )


def compare_plan(started_with: object, plan: RunPlan) -> None:
    """Raise `LabChangedError` unless `started_with`, the XCom `plan`, is this very plan's fingerprint."""
    if started_with != plan.fingerprint:
        raise LabChangedError(
            f"Run {plan.run!r} is divided into tasks in another way than when this DAG run started: settings such"
            " as chunk, max_mapped, cpus, memory or resources_file were changed since. Nothing was run. Trigger the DAG"
            " again: jobs that are done are reused."
        )
