"""Labs become DAGs: one per run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_repx.factory.lab_dags import repx_dags
    from airflow_provider_repx.factory.settings import LabSettings

__all__ = ["LabSettings", "repx_dags"]


def __getattr__(name: str) -> Any:
    """Load what makes DAGs only for those who make some: the command line needs a lab's settings alone."""
    if name == "repx_dags":
        from airflow_provider_repx.factory.lab_dags import repx_dags  # noqa: PLC0415 - loads Airflow's operators

        return repx_dags
    if name == "LabSettings":
        from airflow_provider_repx.factory.settings import LabSettings  # noqa: PLC0415 - see above

        return LabSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
