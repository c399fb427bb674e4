"""The Apache Airflow provider for RepX labs.

from airflow_provider_repx import repx_dags           # DAGs, needs Airflow
from airflow_provider_repx.lab import read_lab         # labs as data, does not
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_repx.factory import repx_dags

__all__ = ["__version__", "repx_dags"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load Airflow only for those who ask for DAGs, so that notebooks can read labs without it."""
    if name == "repx_dags":
        from airflow_provider_repx.factory import repx_dags  # noqa: PLC0415 - loads Airflow, see above

        return repx_dags
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
