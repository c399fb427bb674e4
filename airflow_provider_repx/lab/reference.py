"""From the reference that a task carries back to its lab."""

from __future__ import annotations

from airflow_provider_repx.errors import LabChangedError
from airflow_provider_repx.lab.lab import Lab
from airflow_provider_repx.lab.models import LabReference
from airflow_provider_repx.lab.reader import read_lab

__all__ = ["open_reference"]


def open_reference(reference: LabReference) -> Lab:
    """Open the very lab that `reference` names.

    Raises:
        LabChangedError: another lab has taken its place since the reference was made.
        LabError: the lab cannot be read; see `read_lab`.

    """
    lab = read_lab(reference.path)
    if lab.lab_id != reference.lab_id:
        raise LabChangedError(
            f"{reference.path}: the lab {reference.name!r} was {reference.lab_id} when this DAG run started and is "
            f"{lab.lab_id} now; trigger a new DAG run for the new lab"
        )
    return lab
