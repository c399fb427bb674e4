"""A whole Airflow on this machine: SQLite, the local executor, four processes, everything under one folder.

The demo and the integration tests share it:

    airflow = AirflowInstance(Path(".demo/airflow"), bundles=[DagBundle.local("dags", Path("dags"))])
    airflow.start()
    airflow.api.trigger("repx_simulation")
    airflow.stop()
"""

from __future__ import annotations

from .client import AirflowApi
from .configuration import DagBundle
from .errors import AirflowApiError, AirflowLocalError, AirflowStartError, WaitTimeoutError
from .instance import COMPONENTS, AirflowInstance, ComponentStatus
from .records import Dag, DagRun, ImportErrorRecord, LogLine, TaskInstance
from .waiting import wait_until

__all__ = [
    "COMPONENTS",
    "AirflowApi",
    "AirflowApiError",
    "AirflowInstance",
    "AirflowLocalError",
    "AirflowStartError",
    "ComponentStatus",
    "Dag",
    "DagBundle",
    "DagRun",
    "ImportErrorRecord",
    "LogLine",
    "TaskInstance",
    "WaitTimeoutError",
    "wait_until",
]
