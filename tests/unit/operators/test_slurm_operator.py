from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, AssetAlias, BaseOperator
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
        ({"inlets": [Asset("x")]}, True),
        ({"inlets": [AssetAlias("x")]}, False),
    ],
    ids=str,
)
def test_auto_starts_on_a_worker_what_only_a_worker_does(dag: DAG, given: dict[str, Any], direct: bool) -> None:
    assert operator(**given).start_from_trigger is direct


def test_values_of_other_tasks_need_a_worker(dag: DAG) -> None:
    first = operator(task_id="first")
    assert not operator(task_id="second", script=None, command=["echo", first.output]).start_from_trigger
    assert not operator(task_id="third", environment={"X": first.output}).start_from_trigger


RENDERED_IN_TRIGGERERS = (
    "echo {{ run_id }} {{ params.x | default('y') }} {{ dag.dag_id }} {{ ti.task_id }}-{{ ti.try_number + 1 }}",
    "{% set x = [1, 2] %}{% for number in x %}{{ loop.index }} {{ number | string }}{% endfor %}",
    "{% raw %}{{ ti.xcom_pull('x') }}{% endraw %} {# {{ var.value.x }} #}",
    "{{ (logical_date or macros.datetime.now()) | ds }}",
    "a plain line with { and }",
)
RENDERED_ON_WORKERS = (
    "{{ ti.xcom_pull(task_ids='first') }}",
    "{{ task_instance.xcom_pull('first') }}",
    "{% set pull = ti %}{{ pull.xcom_pull('first') }}",
    "{% set ti = ti %}{{ ti.xcom_pull('first') }}",
    "{{ ti.get_previous_dagrun() }}",
    "{{ var.value.x }}",
    "{{ conn.x.host }}",
    "{{ prev_start_date_success }}",
    "{{ a_macro_of_the_dag(1) }}",
    "{{ run_id | a_filter_of_the_dag }}",
    "{% include 'file.sh' %}",
    "{{ not right",
)


@pytest.mark.parametrize("text", RENDERED_IN_TRIGGERERS)
def test_what_comes_with_the_task_instance_can_be_rendered_in_a_triggerer(dag: DAG, text: str) -> None:
    assert operator(script=text).start_from_trigger


@pytest.mark.parametrize("text", RENDERED_ON_WORKERS)
def test_what_has_to_be_asked_for_needs_a_worker(dag: DAG, text: str) -> None:
    assert not operator(script=text).start_from_trigger
    assert not operator(task_id="words", script=None, command=["echo", text]).start_from_trigger
    assert not operator(task_id="name", environment={text: "x"}).start_from_trigger
    with pytest.raises(ValueError, match="task direct: start='triggerer'"):
        operator(task_id="direct", script=text, start="triggerer")


def test_mapped_tasks_start_on_workers(dag: DAG) -> None:
    SlurmOperator.partial(task_id="many", start="triggerer").expand(script=["a", "b"])
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("many")
    assert not serialized.start_from_trigger


@pytest.mark.parametrize("given", [{"command": ["a"]}, {"script": None}, {"script": None, "command": "ls -l"}], ids=str)
def test_exactly_one_of_script_and_argument_list(dag: DAG, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="script"):
        operator(**given)


def test_a_cause_that_nothing_has_is_refused(dag: DAG) -> None:
    with pytest.raises(ValueError, match=r"retry_on: exit_code: no such cause; there are: .*exit code"):
        operator(retry_on=["TIMEOUT", "exit_code"])
    with pytest.raises(ValueError, match="T, U: no such cause"):
        operator(task_id="other", retry_on="TU")


@pytest.mark.parametrize("given", ["--gres=gpu:1", ["--wrap=true"], ["gres=gpu:1"], ["--comment=a\nb"]], ids=str)
def test_options_that_sbatch_cannot_be_given_are_refused(dag: DAG, given: Any) -> None:
    with pytest.raises(ValueError, match="task task: "):
        operator(sbatch_opts=given)


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


@pytest.mark.parametrize(("most", "adopt"), [(2, True), (3, False), (None, False)])
def test_the_success_of_an_earlier_try_counts_unless_the_task_was_cleared(
    dag: DAG, most: int | None, adopt: bool
) -> None:
    task = operator(retries=2)
    instance = _Instance()
    instance.max_tries = most
    with pytest.raises(TaskDeferred) as caught:
        task.execute({"ti": instance})  # type: ignore[typeddict-item]
    assert caught.value.trigger.request.adopt is adopt


class _Instance:
    max_tries: int | None = None
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
