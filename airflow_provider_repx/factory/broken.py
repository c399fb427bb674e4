"""A lab that cannot be read, beside labs of the same DAG file that can."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_repx.factory.names import airflow_id

__all__ = ["BrokenLabDAG"]


class BrokenLabDAG(DAG):
    """Stands for a broken lab: Airflow cannot serialize it, and so reports its error as an import error.

    Airflow marks all DAGs stale that share the file of an import error. So this one claims a file of its own, named
    after the DAG file and the lab; the DAGs of other labs in the same file stay.
    """

    _error: Exception | None = None
    _file = ""

    def __init__(self, lab: str, error: Exception) -> None:
        super().__init__(dag_id=f"repx_broken_lab_{airflow_id(lab)}", schedule=None)
        self._lab = lab
        self._error = error

    @property
    def relative_fileloc(self) -> str:
        """The DAG file's path in its bundle, followed by the lab's name."""
        return f"{self._file} (lab {self._lab})"

    @relative_fileloc.setter
    def relative_fileloc(self, value: str | None) -> None:
        self._file = value or ""

    @property
    def deadline(self) -> None:
        """Raise the lab's error: once a DAG is made, Airflow reads this attribute only to serialize it."""
        if self._error is not None:
            raise self._error

    @deadline.setter
    def deadline(self, value: object) -> None:
        """Accept what the base class sets."""
