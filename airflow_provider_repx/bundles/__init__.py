"""DAG bundles: labs as versioned sources of DAGs."""

from __future__ import annotations

from airflow_provider_repx.bundles.lab import RepxLabBundle

__all__ = ["RepxLabBundle"]
