"""A small typed client of Airflow's REST API (``/api/v2``, documented at ``<url>/docs`` of every API server)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from .errors import AirflowApiError, AirflowLocalError
from .records import Dag, DagRun, ImportErrorRecord, LogLine, TaskInstance
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AirflowApi"]

_PAGE = 1000


def _path(*parts: str | int) -> str:
    return "/" + "/".join(quote(str(part), safe="") for part in parts)


class AirflowApi:
    """Airflow as an administrator sees it; logs in by itself when it has to.

    Every method raises `AirflowApiError` where the server refuses, and `AirflowLocalError` where there is no server.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._user = user
        self._password = password
        # A proxy from the environment must not get between this process and its own machine. Connections are not
        # kept: on one machine they cost nothing, and none is left open where nobody closes the client.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=url, timeout=30.0, trust_env=False, limits=limits)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: object = None) -> Any:
        """Send one request below ``/api/v2`` and return the decoded answer, None where it is empty."""
        response = self._send(method, path, query, body)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            response = self._send(method, path, query, body)
        if response.is_error:
            raise AirflowApiError(
                f"{method} {path}: {response.status_code}: {response.text[:2000]}", response.status_code
            )
        return response.json() if response.content else None

    def _send(self, method: str, path: str, query: Mapping[str, Any] | None, body: object) -> httpx.Response:
        try:
            return self._http.request(
                method,
                f"/api/v2{path}",
                params=dict(query or {}),
                json=body,
                headers={"Accept": "application/json"},
            )
        except httpx.TransportError as error:
            raise AirflowLocalError(f"{method} {self._http.base_url}{path}: no answer: {error}") from error

    def _log_in(self) -> None:
        response = self._http.post("/auth/token", json={"username": self._user, "password": self._password})
        if response.is_error:
            raise AirflowApiError(f"cannot log in as {self._user}: {response.text[:500]}", response.status_code)
        self._http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def _listing(self, path: str, key: str, query: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
        items: list[Mapping[str, Any]] = []
        while True:
            answer = self.request("GET", path, query={**(query or {}), "limit": _PAGE, "offset": len(items)})
            page = answer[key]
            items += page
            if not page or len(items) >= answer["total_entries"]:
                return items

    def health(self) -> Mapping[str, Any]:
        """What every component's last sign of life is."""
        answer: Mapping[str, Any] = self.request("GET", "/monitor/health")
        return answer

    def dags(self) -> dict[str, Dag]:
        """All DAGs by id."""
        return {item["dag_id"]: Dag.from_json(item) for item in self._listing("/dags", "dags")}

    def import_errors(self) -> list[ImportErrorRecord]:
        """The DAG files that could not be read."""
        return [ImportErrorRecord.from_json(item) for item in self._listing("/importErrors", "import_errors")]

    def pause(self, dag_id: str, *, paused: bool = True) -> None:
        """Pause a DAG, or with `paused=False` let it run."""
        self.request("PATCH", _path("dags", dag_id), query={"update_mask": "is_paused"}, body={"is_paused": paused})

    def trigger(self, dag_id: str, *, run_id: str | None = None, conf: Mapping[str, Any] | None = None) -> DagRun:
        """Start a run of a DAG."""
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        return DagRun.from_json(self.request("POST", _path("dags", dag_id, "dagRuns"), body=body))

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """One run of a DAG as it is now."""
        return DagRun.from_json(self.request("GET", _path("dags", dag_id, "dagRuns", run_id)))

    def dag_runs(self, dag_id: str) -> list[DagRun]:
        """All runs of a DAG."""
        return [DagRun.from_json(item) for item in self._listing(_path("dags", dag_id, "dagRuns"), "dag_runs")]

    def wait_for_run(self, dag_id: str, run_id: str, *, timeout: float) -> DagRun:
        """Wait until a run has ended, well or badly; `timeout` in seconds."""

        def ended() -> DagRun | None:
            run = self.dag_run(dag_id, run_id)
            return run if run.finished else None

        def seen() -> str:
            states = [f"{task.task_id}[{task.map_index}]={task.state}" for task in self.task_instances(dag_id, run_id)]
            return f"the end of {dag_id} {run_id}; its tasks: {', '.join(states[:50])}"

        return wait_until(ended, timeout=timeout, what=seen, interval=0.5)

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """All task instances of a run, ordered by task and map index."""
        path = _path("dags", dag_id, "dagRuns", run_id, "taskInstances")
        found = [TaskInstance.from_json(item) for item in self._listing(path, "task_instances")]
        return sorted(found, key=lambda item: (item.task_id, item.map_index))

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> TaskInstance:
        """One task instance."""
        path = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, map_index)
        return TaskInstance.from_json(self.request("GET", path))

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """The value of an XCom; `AirflowApiError` with status 404 where there is none."""
        path = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "xcomEntries", key)
        return self.request("GET", path, query={"map_index": map_index, "deserialize": True})["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, attempt: int = 1) -> list[LogLine]:
        """The log of one try of a task instance."""
        path = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "logs", attempt)
        answer = self.request("GET", path, query={"map_index": map_index, "full_content": True})
        return [LogLine.from_json(item) for item in answer["content"]]

    def log_text(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, attempt: int = 1) -> str:
        """The log of one try as text, with the exceptions that it carries."""
        lines = self.log(dag_id, run_id, task_id, map_index=map_index, attempt=attempt)
        return "\n".join(line.event if line.error is None else f"{line.event}\n  {line.error}" for line in lines)

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a run as ``success``, ``failed`` or ``queued``."""
        self.request("PATCH", _path("dags", dag_id, "dagRuns", run_id), body={"state": state})

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str, *, map_index: int = -1) -> None:
        """Mark a task instance as ``success``, ``failed`` or ``skipped``."""
        path = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, map_index)
        self.request("PATCH", path, query={"update_mask": "new_state"}, body={"new_state": state})

    def clear(
        self,
        dag_id: str,
        run_id: str,
        tasks: Sequence[str | tuple[str, int]] | None = None,
        *,
        only_failed: bool = False,
        downstream: bool = False,
        upstream: bool = False,
    ) -> list[TaskInstance]:
        """Let task instances run again (all of the run without `tasks`) and return those concerned."""
        body: dict[str, Any] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": only_failed,
            "include_downstream": downstream,
            "include_upstream": upstream,
        }
        if tasks is not None:
            body["task_ids"] = [list(task) if isinstance(task, tuple) else task for task in tasks]
        answer = self.request("POST", _path("dags", dag_id, "clearTaskInstances"), body=body)
        return [TaskInstance.from_json(item) for item in answer["task_instances"]]

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Delete a run; a running one is refused with status 409."""
        self.request("DELETE", _path("dags", dag_id, "dagRuns", run_id))

    def asset_events(self) -> list[str]:
        """The URIs of all asset events, oldest first."""
        events = self._listing("/assets/events", "asset_events", {"order_by": "timestamp"})
        return [event["uri"] for event in events]

    def create_pool(self, name: str, slots: int, *, include_deferred: bool = False) -> None:
        """Create a pool, or give an existing one this size."""
        body = {"name": name, "slots": slots, "description": "", "include_deferred": include_deferred}
        try:
            self.request("POST", "/pools", body=body)
        except AirflowApiError as error:
            if error.status != httpx.codes.CONFLICT:
                raise
            self.request("PATCH", _path("pools", name), body=body)
