"""The part of the provider that Airflow loads as a plugin."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_repx import listeners

__all__ = ["RepxPlugin"]


class RepxPlugin(AirflowPlugin):
    """Brings the listeners."""

    name = "repx"
    listeners = [listeners]  # noqa: RUF012 - Airflow's attribute
