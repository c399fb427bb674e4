from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.jobs.job import Job
from airflow.listeners.listener import get_listener_manager

from airflow_provider_repx import listeners, orphans

pytestmark = pytest.mark.unit


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is begun when a process of Airflow starts."""
    found: list[str] = []
    monkeypatch.setattr(listeners, "start_in_background", lambda: found.append("orphans"))
    monkeypatch.setattr(listeners, "_in_background", lambda _work, what: found.append(what.split()[0]))
    return found


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["scheduler", "--skip-serve-logs"], ["create", "look"]),
        (["triggerer", "--capacity", "10"], ["orphans"]),
        (["dag-processor"], []),
        ([], []),
    ],
    ids=str,
)
def test_a_process_is_known_by_its_command(
    monkeypatch: pytest.MonkeyPatch, begun: list[str], command: list[str], expected: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["airflow", *command])
    # Airflow itself tells the plugin's listener, before it sets the kind of the job.
    Job()
    assert begun == expected


@pytest.mark.parametrize("command", ["scheduler", "dag-processor", "triggerer", "api-server"])
def test_who_forks_processes_that_build_dags_imports_for_them(command: str) -> None:
    program = f"""
        import sys
        sys.argv = ["airflow", {command!r}]
        from airflow_provider_repx import listeners
        listeners.start_in_background = listeners._in_background = lambda *_: None

        class Job:
            job_type = None

        listeners.on_starting(Job())
        print("airflow_provider_repx.factory.lab_dags" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split()[-1] == str(command in ("scheduler", "dag-processor"))


def test_a_task_that_starts_is_none_of_them(monkeypatch: pytest.MonkeyPatch, begun: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["airflow", "scheduler"])
    listeners.on_starting(object())
    assert begun == []


@dataclass
class Ended:
    """A task instance that has ended."""

    operator: str
    dag_id: str = "repx_lab"
    run_id: str = "manual"
    task_id: str = "run_train"


@pytest.mark.parametrize("operator", ["RepxRunOperator", "RepxRunSensor"])
def test_what_a_task_has_started_ends_only_when_a_person_ends_the_task(begun: list[str], operator: str) -> None:
    manager = get_listener_manager()
    for previous, task in (("running", operator), (None, "EmptyOperator"), (None, operator)):
        manager.hook.on_task_instance_failed(previous_state=previous, task_instance=Ended(task), error="by hand")
    assert begun == ["stop"]


def test_orphans_are_looked_for_by_a_process_that_nobody_has_to_collect(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: started.append(command))
    orphans.start_in_background()
    assert started[0][-2:] == ["-m", "airflow_provider_repx.orphans"]
