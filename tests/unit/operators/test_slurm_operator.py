from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_repx.errors import JobLostError
from airflow_provider_repx.operators.slurm import SlurmOperator
from airflow_provider_repx.triggers.slurm import CommandRequest

pytestmark = pytest.mark.unit


@pytest.fixture
def dag() -> Iterator[DAG]:
    with DAG("dag", schedule=None) as made:
        yield made


def operator(**given: Any) -> SlurmOperator:
    return SlurmOperator(**({"task_id": "task", "script": "true"} | given))


@pytest.mark.parametrize(
    ("given", "direct"),
    [
        ({}, True),
        ({"start": "worker"}, False),
        ({"outlets": [Asset("x")]}, False),
        ({"on_success_callback": print}, False),
        ({"execution_timeout": timedelta(hours=1)}, False),
        ({"pool": "licenses"}, False),
        ({"pool": "licenses", "start": "triggerer"}, True),
        ({"on_failure_callback": print}, True),
    ],
    ids=str,
)
def test_auto_starts_on_a_worker_what_only_a_worker_does(dag: DAG, given: dict[str, Any], direct: bool) -> None:
    assert operator(**given).start_from_trigger is direct


def test_values_of_other_tasks_need_a_worker(dag: DAG) -> None:
    first = operator(task_id="first")
    assert not operator(task_id="second", script=None, command=["echo", first.output]).start_from_trigger
    assert not operator(task_id="third", environment={"X": first.output}).start_from_trigger


def test_mapped_tasks_start_on_workers(dag: DAG) -> None:
    SlurmOperator.partial(task_id="many", start="triggerer").expand(script=["a", "b"])
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("many")
    assert not serialized.start_from_trigger


@pytest.mark.parametrize("given", [{"command": ["a"]}, {"script": None}, {"script": None, "command": "ls -l"}], ids=str)
def test_exactly_one_of_script_and_argument_list(dag: DAG, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="script"):
        operator(**given)


def test_what_is_asked_travels_and_nothing_is_rendered_but_script_command_and_environment(dag: DAG) -> None:
    task = operator(mem="4G", cpus=2, time="1-00:00:00", sbatch_opts=["--gres=gpu:1"], retry_on=["TIMEOUT"], qos="low")
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("task")
    kwargs = serialized.start_trigger_args.trigger_kwargs["__var"]
    request = CommandRequest.load(kwargs["request"])
    assert request == task.request
    assert (request.mem, request.time) == (4 * 2**30, 86400)
    assert kwargs["script"] == "true"
    assert set(task.template_fields) == {"script", "command", "environment"}


def test_a_worker_hands_over_with_a_deadline(dag: DAG) -> None:
    task = operator(execution_timeout=timedelta(hours=1))
    with pytest.raises(TaskDeferred) as caught:
        task.execute({"ti": _Instance()})  # type: ignore[typeddict-item]
    assert caught.value.trigger.request.deadline is not None
    assert caught.value.timeout is None


class _Instance:
    dag_id, run_id, task_id, map_index, try_number = "dag", "manual", "task", -1, 1


@pytest.mark.parametrize(
    ("event", "raised"),
    [
        ({"status": "failed", "text": "t", "retry": False, "xcoms": {}}, AirflowFailException),
        ({"status": "failed", "text": "t", "retry": True, "xcoms": {}}, JobLostError),
        ({"status": "skipped", "text": "t", "retry": False, "xcoms": {}}, AirflowSkipException),
        (None, JobLostError),
    ],
)
def test_how_a_worker_ends_the_task(dag: DAG, event: dict[str, Any] | None, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        operator().execute_complete({}, event)  # type: ignore[typeddict-item]


def test_a_success_returns_the_result(dag: DAG) -> None:
    event = {"status": "success", "text": "", "retry": False, "xcoms": {"return_value": {"exit_code": 0}}}
    assert operator().execute_complete({}, event) == {"exit_code": 0}  # type: ignore[typeddict-item]
    assert isinstance(operator(task_id="other"), BaseOperator)
