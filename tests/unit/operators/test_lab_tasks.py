"""The tasks of the DAG that runs a whole lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped, TaskDeferred
from airflow.sdk.execution_time import task_runner

from airflow_provider_repx import repx_dags
from airflow_provider_repx.dag_runs import STARTED_KEY, derived_run_id
from airflow_provider_repx.errors import LabLookupError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.lab import Lab, read_lab
from airflow_provider_repx.links import ChildRunLink
from airflow_provider_repx.operators.lab import RepxRunOperator, select_runs
from tests.support.experiments import Experiment
from tests.support.five_runs import RUNS, FiveRuns
from tests.support.supervisor import Instance, Supervisor

pytestmark = pytest.mark.unit


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    made = Experiment(tmp_path)
    FiveRuns(made).write()
    return made


@pytest.fixture
def lab(experiment: Experiment) -> Lab:
    return read_lab(experiment.lab)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    made = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
    return made


@pytest.mark.parametrize(
    ("names", "group", "expected"),
    [
        ([], None, set(RUNS)),
        (["", " "], "", set(RUNS)),
        ([], "ml-pipeline", {"preprocess", "train", "evaluate"}),
        ([" train ", "*line"], None, {"train", "baseline"}),
        (["baseline"], "reporting", {"baseline", "visualize"}),
    ],
)
def test_runs_are_chosen_by_group_name_and_pattern(
    lab: Lab, names: list[str], group: str | None, expected: set[str]
) -> None:
    chosen = select_runs(lab, names, group)
    assert set(chosen) == expected
    assert list(chosen) == [run for run in lab.run_names if run in expected], "upstream runs first"


@pytest.mark.parametrize(("names", "group"), [(["trane"], None), ([], "reportin")])
def test_an_unknown_name_is_an_error_that_names_the_nearest(lab: Lab, names: list[str], group: str | None) -> None:
    with pytest.raises(LabLookupError, match=r"did you mean '(train|reporting)'"):
        select_runs(lab, names, group)


def task_of(experiment: Experiment, task_id: str, **settings: Any) -> Any:
    return repx_dags(lab=experiment.lab, base_path=experiment.base, **settings)["repx_lab"].get_task(task_id)


def context(lab: Lab, supervisor: Supervisor, task_id: str, **params: Any) -> Any:
    instance = Instance(supervisor, lab.lab_id, "repx_lab", task_id)
    return {"ti": instance, "params": params, "dag_run": None}


def test_the_first_task_skips_what_is_not_asked_for(experiment: Experiment, lab: Lab, supervisor: Supervisor) -> None:
    first = task_of(experiment, "open_lab")
    asked = context(lab, supervisor, "open_lab", group="reporting")
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        first.execute(asked)
    assert set(skipped.value.tasks) == {f"run_{run}" for run in RUNS if run != "visualize"}
    assert asked["ti"].pushed["lab_id"] == lab.lab_id
    first.execute(context(lab, supervisor, "open_lab"))
    with pytest.raises(AirflowFailException, match="no run called 'tarin'"):
        first.execute(context(lab, supervisor, "open_lab", runs=["tarin"]))


def test_a_dag_run_that_was_started_for_another_lab_opens_none(
    experiment: Experiment, lab: Lab, supervisor: Supervisor
) -> None:
    class Asked:
        conf = {"lab_id": "another-lab"}  # noqa: RUF012 - read once

    for task in (
        task_of(experiment, "open_lab"),
        repx_dags(lab=experiment.lab, base_path=experiment.base)["repx_train"].get_task("open_lab"),
    ):
        asked = {**context(lab, supervisor, "open_lab"), "dag_run": Asked()}
        with pytest.raises(AirflowFailException, match=rf"as another-lab .* is {lab.lab_id} now"):
            task.execute(asked)
        assert not asked["ti"].pushed


def start(task: RepxRunOperator, asked: Any) -> str:
    """Run the worker half; the address that the task links to."""
    with pytest.raises(TaskDeferred) as waiting:
        task.execute(asked)
    assert waiting.value.trigger.dag_id == "repx_train"
    return ChildRunLink().get_link(task, ti_key=None)  # type: ignore[arg-type]


def test_a_run_becomes_a_child_dag_run_with_the_same_params(
    experiment: Experiment, lab: Lab, supervisor: Supervisor
) -> None:
    task = task_of(experiment, "run_train")
    asked = context(lab, supervisor, "run_train", force=True, continue_on_failure=False, on_missing="wait", runs=[])
    link = start(task, asked)
    child = derived_run_id(lab.lab_id, "repx_lab", "manual")
    assert asked["ti"].pushed[STARTED_KEY] == {"dag_id": "repx_train", "run_id": child}
    assert supervisor.runs["repx_train", child].conf == {
        "lab_id": lab.lab_id,
        "force": True,
        "continue_on_failure": False,
        "on_missing": "wait",
    }
    assert link.endswith(f"/dags/repx_train/runs/{child}")
    assert start(task, asked) == link
    assert supervisor.runs["repx_train", child].cleared == 0, "a try after a crash finds the run of the first one"


def test_what_has_ended_is_cleared_unless_all_is_done(experiment: Experiment, lab: Lab, supervisor: Supervisor) -> None:
    task, asked = task_of(experiment, "run_train"), context(lab, supervisor, "run_train")
    start(task, asked)
    child = supervisor.runs["repx_train", derived_run_id(lab.lab_id, "repx_lab", "manual")]
    for state in ("failed", "success"):
        child.end(state)
        start(task, asked)
    assert child.cleared == 2, "the jobs are not done"
    store = OutputStore(experiment.base)
    for job in lab.run("train").jobs:
        store.job(job).success.parent.mkdir(parents=True)
        store.job(job).success.touch()
    child.end("success")
    task.execute(asked)
    assert child.cleared == 2


def test_the_end_of_the_child_is_the_end_of_the_task(experiment: Experiment, lab: Lab, supervisor: Supervisor) -> None:
    task, asked = task_of(experiment, "run_train"), context(lab, supervisor, "run_train")
    task.execute_complete(asked, {"state": "success"})
    with pytest.raises(AirflowFailException, match="2 jobs: 2 pending"):
        task.execute_complete(asked, {"state": "failed"})
    with pytest.raises(AirflowFailException, match="was deleted"):
        task.execute_complete(asked, {"state": None})


def test_paused_and_unknown_dags_are_named(experiment: Experiment, lab: Lab, supervisor: Supervisor) -> None:
    task, asked = task_of(experiment, "run_train"), context(lab, supervisor, "run_train")
    supervisor.paused.add("repx_train")
    with pytest.raises(AirflowFailException, match="airflow dags unpause repx_train"):
        task.execute(asked)
    supervisor.unknown.add("repx_train")
    with pytest.raises(AirflowFailException, match="knows no DAG repx_train"):
        task.execute(asked)


def test_no_further_run_starts_after_a_failure_when_asked(
    experiment: Experiment, lab: Lab, supervisor: Supervisor
) -> None:
    task = task_of(experiment, "run_train")
    asked = context(lab, supervisor, "run_train", continue_on_failure=False)
    asked["ti"].failed = 1
    # Were it skipped, clearing what failed would leave it out, and end well without it.
    with pytest.raises(AirflowFailException, match=r"'train' was not started.*continue_on_failure is false"):
        task.execute(asked)
    assert not supervisor.runs


def test_a_failed_run_fails_the_whole_although_the_last_runs_were_skipped(
    experiment: Experiment, lab: Lab, supervisor: Supervisor
) -> None:
    task, asked = task_of(experiment, "summary"), context(lab, supervisor, "summary")
    states = {f"run_{run}": "success" for run in RUNS} | {"run_visualize": "skipped"}
    asked["ti"].states = states
    assert task.execute(asked) == {run: states[f"run_{run}"] for run in RUNS}
    asked["ti"].states = states | {"run_train": "failed", "run_evaluate": "upstream_failed"}
    with pytest.raises(AirflowFailException, match=r"2 of 5 runs failed.*: train, evaluate"):
        task.execute(asked)


def test_the_end_of_a_child_that_was_about_the_lab_of_before_says_so(
    experiment: Experiment, lab: Lab, supervisor: Supervisor
) -> None:
    asked = context(lab, supervisor, "run_train")
    FiveRuns(experiment).write(version="2")
    task = task_of(experiment, "run_train")
    with pytest.raises(AirflowFailException, match="the lab was rebuilt meanwhile"):
        task.execute_complete(asked, {"state": "failed"})
    assert task.external_run_id == derived_run_id(lab.lab_id, "repx_lab", "manual")
