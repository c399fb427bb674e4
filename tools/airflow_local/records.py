"""What the REST API says, as plain immutable records with the fields that people and tests look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FINISHED", "Dag", "DagRun", "ImportErrorRecord", "LogLine", "TaskInstance"]

FINISHED = frozenset({"success", "failed"})


@dataclass(frozen=True)
class Dag:
    """A DAG that Airflow knows."""

    dag_id: str
    is_paused: bool
    tags: frozenset[str]
    bundle_version: str | None

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Dag:
        """Read the API's answer."""
        tags = frozenset(tag["name"] for tag in item.get("tags", ()))
        return cls(item["dag_id"], item["is_paused"], tags, item.get("bundle_version"))


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG."""

    dag_id: str
    run_id: str
    state: str
    conf: Mapping[str, Any]
    bundle_version: str | None

    @property
    def finished(self) -> bool:
        """Whether it has ended, well or badly."""
        return self.state in FINISHED

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> DagRun:
        """Read the API's answer."""
        return cls(
            item["dag_id"], item["dag_run_id"], item["state"], item.get("conf") or {}, item.get("bundle_version")
        )


@dataclass(frozen=True)
class TaskInstance:
    """One task of one DAG run; `state` is None before the scheduler has looked at it."""

    task_id: str
    map_index: int
    rendered_map_index: str | None
    state: str | None
    try_number: int
    operator: str | None
    pool: str
    pool_slots: int
    id: str

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> TaskInstance:
        """Read the API's answer."""
        return cls(
            task_id=item["task_id"],
            map_index=item["map_index"],
            rendered_map_index=item.get("rendered_map_index"),
            state=item.get("state"),
            try_number=item["try_number"],
            operator=item.get("operator_name") or item.get("operator"),
            pool=item["pool"],
            pool_slots=item["pool_slots"],
            id=item["id"],
        )


@dataclass(frozen=True)
class ImportErrorRecord:
    """A DAG file that could not be read."""

    filename: str
    bundle_name: str | None
    stack_trace: str

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> ImportErrorRecord:
        """Read the API's answer."""
        return cls(item["filename"], item.get("bundle_name"), item["stack_trace"])


@dataclass(frozen=True)
class LogLine:
    """One line of a task's log; `error` is the text of the exception that it carries, if any."""

    event: str
    level: str | None
    error: str | None

    @classmethod
    def from_json(cls, item: Mapping[str, Any] | str) -> LogLine:
        """Read the API's answer, in which lines that are not structured are plain text."""
        if isinstance(item, str):
            return cls(item, None, None)
        details = item.get("error_detail") or []
        error = "; ".join(f"{detail.get('exc_type')}: {detail.get('exc_value')}" for detail in details) or None
        return cls(item["event"], item.get("level"), error)
