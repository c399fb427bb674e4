"""Names of a lab as ids of Airflow."""

from __future__ import annotations

import re

__all__ = ["MAX_ID", "airflow_id"]

MAX_ID = 250
"""Characters of a DAG id or a task id that Airflow stores."""


def airflow_id(name: str) -> str:
    """The name with everything replaced that Airflow does not allow in an id."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
