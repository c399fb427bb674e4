"""Labs become DAGs: one per run."""

from __future__ import annotations

from airflow_provider_repx.factory.lab_dags import repx_dags
from airflow_provider_repx.factory.settings import LabSettings

__all__ = ["LabSettings", "repx_dags"]
