"""From a task instance of Airflow's to the claimant of the jobs that it runs."""

from __future__ import annotations

from typing import Any

from airflow_provider_repx.execution.store import Claimant

__all__ = ["claimant_of_instance"]


def claimant_of_instance(instance: Any, label: str = "") -> Claimant:
    """Who this try of a task instance is, for claims and logs.

    Airflow has several classes of task instances: in workers, in the triggerer, in its database.
    """
    return Claimant(
        dag_id=instance.dag_id,
        run_id=instance.run_id,
        task_id=instance.task_id,
        map_index=-1 if instance.map_index is None else instance.map_index,
        try_number=instance.try_number,
        label=label,
    )
