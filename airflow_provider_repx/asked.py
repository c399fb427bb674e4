"""The lab that a DAG run was asked to be about, by the DAG run that started it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_repx.errors import LabChangedError
from airflow_provider_repx.lab import LabReference

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["LAB_ID_CONF", "require_asked_lab"]

LAB_ID_CONF = "lab_id"
"""Key in a DAG run's configuration."""


def require_asked_lab(lab: LabReference, context: Context) -> None:
    """Fail for good when the DAG run was started for another lab than the one that is here now.

    Raises `AirflowFailException`, whose cause is a `LabChangedError`.
    """
    dag_run = context.get("dag_run")
    asked = (getattr(dag_run, "conf", None) or {}).get(LAB_ID_CONF)
    if asked in (None, lab.lab_id):
        return
    error = LabChangedError(
        f"This DAG run was started for lab {lab.name!r} as {asked} (`{LAB_ID_CONF}` in its configuration), but that lab"
        f" is {lab.lab_id} now ({lab.path}): it was rebuilt meanwhile. Nothing was run. Run `airflow dags"
        " reserialize`, so that Airflow has read the newest build, then trigger the DAG again that"
        f" started this one, or this one without `{LAB_ID_CONF}`: jobs that did not change are reused."
    )
    raise AirflowFailException(str(error)) from error
