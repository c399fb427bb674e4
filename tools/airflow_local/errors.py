"""What can go wrong with a local Airflow.

AirflowLocalError
├── AirflowStartError     a process ended early, or was not healthy in time
├── AirflowApiError       the REST API answered with an error; carries the status code
└── WaitTimeoutError      a condition did not come true in time
"""

from __future__ import annotations

__all__ = ["AirflowApiError", "AirflowLocalError", "AirflowStartError", "WaitTimeoutError"]


class AirflowLocalError(Exception):
    """Root of the errors of this package."""


class AirflowStartError(AirflowLocalError):
    """Airflow did not start; the message ends with the last lines of the log concerned."""


class AirflowApiError(AirflowLocalError):
    """The REST API refused a request; `status` is the HTTP status code."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class WaitTimeoutError(AirflowLocalError):
    """A condition did not come true before its deadline; the message says what was last seen."""
