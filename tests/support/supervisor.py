"""Airflow as a task sees it through its supervisor: DAG runs that can be asked for and started, held in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from airflow.sdk.api.datamodels._generated import DagRunState
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms

__all__ = ["Instance", "Run", "Supervisor"]

ACTIVE = ("queued", "running")


@dataclass
class Run:
    """A DAG run; `tasks` has the states of its tasks, `opened` the lab id that its first task has pushed."""

    state: str = "running"
    opened: str | None = None
    conf: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, str | None] = field(default_factory=lambda: {"summary": None})
    note: str | None = None
    cleared: int = 0

    def end(self, state: str, *, summary: str | None = None) -> None:
        self.state = state
        self.tasks["summary"] = summary or state


def _missing() -> AirflowRuntimeError:
    return AirflowRuntimeError(
        comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404, "message": "not found"})
    )


@dataclass
class Supervisor:
    """DAG runs by DAG and id; DAGs that are paused, or that nobody knows; versions of bundles by DAG."""

    runs: dict[tuple[str, str], Run] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)

    def of(self, dag_id: str) -> dict[str, Run]:
        return {run_id: run for (dag, run_id), run in self.runs.items() if dag == dag_id}

    async def asend(self, message: Any) -> Any:
        return self.send(message)

    def send(self, message: Any) -> Any:
        self.asked.append(message)
        return getattr(self, type(message).__name__)(message)

    def GetDagRun(self, message: comms.GetDagRun) -> Any:  # noqa: N802 - named after the message
        run = self._run(message)
        # As in the real answer, whose text is "DagRunState.RUNNING".
        return replace(run, state=DagRunState(run.state))  # type: ignore[arg-type]

    def GetDagRunState(self, message: comms.GetDagRunState) -> Run:  # noqa: N802 - named after the message
        return self._run(message)

    def _run(self, message: Any) -> Run:
        try:
            return self.runs[message.dag_id, message.run_id]
        except KeyError:
            raise _missing() from None

    def GetDRCount(self, message: comms.GetDRCount) -> comms.DRCount:  # noqa: N802 - named after the message
        found = [
            run
            for run_id, run in self.of(message.dag_id).items()
            if run.state in (message.states or ()) and (not message.run_ids or run_id in message.run_ids)
        ]
        return comms.DRCount(count=len(found))

    def GetTaskStates(self, message: comms.GetTaskStates) -> comms.TaskStatesResult:  # noqa: N802 - named after it
        runs = {} if message.logical_dates else self.of(message.dag_id)
        return comms.TaskStatesResult(
            task_states={
                run_id: {task: state for task, state in run.tasks.items() if task in (message.task_ids or ())}
                for run_id, run in runs.items()
            }
        )

    def GetDag(self, message: comms.GetDag) -> Any:  # noqa: N802 - named after the message
        if message.dag_id in self.unknown:
            raise _missing()

        @dataclass
        class Dag:
            is_paused: bool
            bundle_version: str | None

        return Dag(message.dag_id in self.paused, self.versions.get(message.dag_id))

    def TriggerDagRun(self, message: comms.TriggerDagRun) -> Any:  # noqa: N802 - named after the message
        key = (message.dag_id, message.run_id)
        if key in self.runs:
            if not message.reset_dag_run:
                return comms.ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
            self.runs[key].cleared += 1
            self.runs[key].state = "queued"
            self.runs[key].tasks = {"summary": None}
        else:
            self.runs[key] = Run("queued", conf=dict(message.conf or {}), note=message.note)
        return comms.OKResponse(ok=True)


@dataclass
class Instance:
    """A task instance of one DAG run of `dag_id`, about lab `lab_id`."""

    supervisor: Supervisor
    lab_id: str
    dag_id: str
    task_id: str
    run_id: str = "manual"
    pushed: dict[str, Any] = field(default_factory=dict)
    failed: int = 0
    states: dict[str, str] = field(default_factory=dict)

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, *, task_ids: str, key: str, dag_id: str | None = None, run_id: str | None = None) -> Any:
        if dag_id is not None and run_id is not None:
            return self.supervisor.runs[dag_id, run_id].opened
        return self.pushed.get(key) if task_ids == self.task_id else self.lab_id

    def get_ti_count(self, **_: Any) -> int:
        return self.failed

    def get_task_states(self, *, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, str]]:
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        return {self.run_id: {task: state for task, state in self.states.items() if task in task_ids}}
