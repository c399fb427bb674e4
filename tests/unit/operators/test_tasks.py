"""What the tasks of a run's DAG do, beside what Airflow tells them. The jobs are real."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_repx import repx_dags
from airflow_provider_repx.errors import JobCancelledError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.lab import read_lab
from tests.support.experiments import Experiment

pytestmark = pytest.mark.unit


@dataclass
class Instance:
    """The part of a task instance that tasks ask; `states` are those of the DAG run's other task instances."""

    lab: Path
    task_id: str
    map_index: int = -1
    states: dict[str, list[str]] = field(default_factory=lambda: {"open_lab": ["success"]})
    pushed: dict[str, Any] = field(default_factory=dict)
    dag_id: str = "repx_simulation"
    run_id: str = "manual"
    try_number: int = 1
    opened: bool = True
    plan: str | None = None

    def xcom_pull(self, *, key: str, **_: Any) -> str | None:
        if not self.opened:
            return None
        return {"lab_id": read_lab(self.lab).lab_id, "plan": self.plan}[key]

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value

    def get_ti_count(
        self,
        *,
        dag_id: str,
        run_ids: list[str],
        states: list[str] | None = None,
        task_ids: list[str] | None = None,
    ) -> int:
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        asked = self.states if task_ids is None else task_ids
        return sum(states is None or state in states for task in asked for state in self.states.get(task, ()))


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    made = Experiment(tmp_path)
    made.write()
    return made


@pytest.fixture(autouse=True)
def skipped(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is asked of Airflow to be skipped, where there is none."""
    asked: list[tuple[str, int]] = []
    for module in ("open_lab", "local"):
        monkeypatch.setattr(f"airflow_provider_repx.operators.{module}.skip_task_instances", asked.extend)
    return asked


def task_of(experiment: Experiment, task_id: str, *, dag_id: str = "repx_simulation", **settings: Any) -> Any:
    dags = repx_dags(lab=experiment.lab, base_path=experiment.base, cpus=4, memory="8G", **settings)
    return dags[dag_id].get_task(task_id)


def execute(task: Any, instance: Instance, **params: Any) -> Any:
    if instance.plan is None:
        instance.plan = task.plan.fingerprint
    for chain in task.plan.chains:
        for stage in chain.stages:
            instance.states.setdefault(stage.task_id, ["scheduled"] * chain.width)
    return task.execute({"ti": instance, "params": params})


def prepare_all(experiment: Experiment) -> None:
    for index in range(2):
        execute(task_of(experiment, "prepare"), Instance(experiment.lab, "prepare", index))


def test_a_killed_task_starts_no_further_job(experiment: Experiment) -> None:
    prepare_all(experiment)
    task = task_of(experiment, "simulate", max_mapped=1)
    experiment.hold("s1.1")

    def kill() -> None:
        while not (experiment.folder / "pid-s1.1").exists():
            started.wait(0.05)
        task.on_kill()

    started = threading.Event()
    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(JobCancelledError):
        execute(task, Instance(experiment.lab, "simulate", 0))
    killer.join()
    assert {label for label in experiment.executions() if label.startswith("s")} == {"s1.1"}


def test_a_task_that_is_killed_before_its_first_job_starts_none(experiment: Experiment) -> None:
    task = task_of(experiment, "prepare")
    task.on_kill()
    with pytest.raises(JobCancelledError, match="0 of 1"):
        execute(task, Instance(experiment.lab, "prepare", 0))
    assert not experiment.executions()


def test_one_job_that_cannot_be_started_leaves_the_other_jobs_of_its_task_alone(experiment: Experiment) -> None:
    prepare_all(experiment)
    task = task_of(experiment, "simulate", max_mapped=1)
    with (experiment.lab / f"jobs/{task.stage.jobs[0]}/bin/main").open("a") as script:
        script.write("# tampered with\n")
    with pytest.raises(AirflowFailException, match=task.stage.jobs[0]):
        execute(task, Instance(experiment.lab, "simulate", 0))
    started = {label for label in experiment.executions() if label.startswith("s")}
    assert len(started) == len(task.stage.jobs) - 1


def test_no_further_job_of_a_task_starts_after_a_failure_when_asked(experiment: Experiment) -> None:
    prepare_all(experiment)
    experiment.fail("s1.1")
    task = task_of(experiment, "simulate", max_mapped=1)
    with pytest.raises(AirflowFailException, match="exited with 3"):
        execute(task, Instance(experiment.lab, "simulate", 0), continue_on_failure=False)
    assert {label for label in experiment.executions() if label.startswith("s")} == {"s1.1"}


def test_only_failed_jobs_count_as_failures_of_the_run(experiment: Experiment) -> None:
    instance = Instance(experiment.lab, "prepare", 0, states={"open_lab": ["success"], "summary": ["failed"]})
    assert execute(task_of(experiment, "prepare"), instance, continue_on_failure=False)


def test_a_done_job_is_reused_whatever_failed(experiment: Experiment) -> None:
    prepare_all(experiment)
    instance = Instance(experiment.lab, "prepare", 0, states={"open_lab": ["success"], "simulate": ["failed"]})
    assert execute(task_of(experiment, "prepare"), instance, continue_on_failure=False)["reused"] == 1


def test_a_forced_job_whose_producers_failed_is_skipped(experiment: Experiment) -> None:
    prepare_all(experiment)
    execute(task_of(experiment, "simulate"), Instance(experiment.lab, "simulate", 0))
    experiment.fail("p1")
    with pytest.raises(AirflowFailException):
        execute(task_of(experiment, "prepare"), Instance(experiment.lab, "prepare", 0, run_id="second"), force=True)
    with pytest.raises(AirflowSkipException):
        execute(task_of(experiment, "simulate"), Instance(experiment.lab, "simulate", 0, run_id="second"), force=True)


def test_nothing_runs_behind_a_gate_that_did_not_open(experiment: Experiment) -> None:
    prepare_all(experiment)
    instance = Instance(experiment.lab, "simulate", 0, states={"open_lab": ["failed"]})
    with pytest.raises(AirflowSkipException, match="open_lab"):
        execute(task_of(experiment, "simulate"), instance)
    assert set(experiment.executions()) == {"p1", "p2"}


@pytest.mark.parametrize("patterns", [["  prepare-*\n"], ["", "prepare"]])
def test_blanks_around_a_pattern_do_not_count(experiment: Experiment, patterns: list[str]) -> None:
    opened = execute(task_of(experiment, "open_lab"), Instance(experiment.lab, "open_lab"), jobs=patterns)
    assert opened["jobs"] == 2


def test_a_pattern_that_matches_nothing_fails_at_once_and_opens_no_lab(experiment: Experiment) -> None:
    instance = Instance(experiment.lab, "open_lab")
    with pytest.raises(AirflowFailException, match=r"'prepair'.*did you mean 'prepare'"):
        execute(task_of(experiment, "open_lab"), instance, jobs=["prepair"])
    assert not instance.pushed


def test_another_lab_fails_at_once(experiment: Experiment) -> None:
    instance = Instance(experiment.lab, "prepare", 0, opened=False)
    with pytest.raises(AirflowFailException, match="Clear open_lab"):
        execute(task_of(experiment, "prepare"), instance)


def test_an_index_that_means_other_jobs_by_now_runs_none(experiment: Experiment) -> None:
    started_with = task_of(experiment, "prepare").plan.fingerprint
    task = task_of(experiment, "prepare", max_mapped=1)
    with pytest.raises(AirflowFailException, match="max_mapped"):
        execute(task, Instance(experiment.lab, "prepare", 0, plan=started_with))
    assert not experiment.executions()


def test_a_dag_run_that_was_made_from_another_build_does_not_open_the_lab(experiment: Experiment) -> None:
    instance = Instance(experiment.lab, "open_lab", states={"prepare": ["scheduled"]})
    with pytest.raises(AirflowFailException, match="task prepare has 1 instances, not 2"):
        execute(task_of(experiment, "open_lab"), instance)
    assert not instance.pushed


def test_open_lab_skips_what_has_nothing_to_do(experiment: Experiment, skipped: list[tuple[str, int]]) -> None:
    execute(task_of(experiment, "open_lab"), Instance(experiment.lab, "open_lab"))
    assert skipped == []
    prepare_all(experiment)
    execute(task_of(experiment, "simulate"), Instance(experiment.lab, "simulate", 4))
    execute(task_of(experiment, "open_lab"), Instance(experiment.lab, "open_lab"))
    assert skipped == [("prepare", 0), ("prepare", 1), ("simulate", 4)]
    skipped.clear()
    instance = Instance(experiment.lab, "open_lab", run_id="another")
    execute(task_of(experiment, "open_lab"), instance, jobs=["simulate"], force=True)
    assert skipped == [("prepare", 0), ("prepare", 1), *(("measure", index) for index in range(6))]


def test_a_failure_skips_what_has_not_begun_when_asked(experiment: Experiment, skipped: list[tuple[str, int]]) -> None:
    experiment.fail("p1")
    task = task_of(experiment, "prepare")
    index = next(index for index in range(2) if task.chain.label_of(index) == "seed=1")
    with pytest.raises(AirflowFailException):
        execute(task, Instance(experiment.lab, "prepare", index))
    assert skipped == []
    with pytest.raises(AirflowFailException):
        execute(task, Instance(experiment.lab, "prepare", index, run_id="second"), continue_on_failure=False)
    assert len(skipped) == 14
    assert not {task_id for task_id, _ in skipped} & {"open_lab", "summary"}


def test_the_summary_tells_what_became_of_each_job(experiment: Experiment) -> None:
    prepare_all(experiment)
    instance = Instance(experiment.lab, "summary")
    with pytest.raises(AirflowFailException, match=r"^run 'simulation': 12 not started, of 14 jobs in all\."):
        execute(task_of(experiment, "summary"), instance)
    # Also a run that failed leaves its figures.
    told = instance.pushed["return_value"]
    assert (told["executed"], told["skipped"], told["jobs"]) == (2, 12, 14)
    assert (told["lab"], told["run"]) == ("lab", "simulation")
    found = execute_summary(experiment, jobs=["prepare"], run_id="second")
    assert (found["reused"], found["executed"], found["succeeded"]) == (2, 0, 2)
    assert [stage["task"] for stage in found["stages"]] == ["prepare"]
    assert not found["assets"], "who follows the run expects all of it"


def test_the_asset_comes_when_the_whole_run_is_done_whoever_did_it(experiment: Experiment) -> None:
    store = OutputStore(experiment.base)
    for job in read_lab(experiment.lab).run("simulation").jobs:
        store.job(job).success.parent.mkdir(parents=True)
        store.job(job).success.touch()
    assert execute_summary(experiment, jobs=["prepare"], run_id="some")["assets"] == ["repx://lab/simulation"]
    assert execute_summary(experiment, run_id="all")["assets"] == ["repx://lab/simulation"]


def execute_summary(experiment: Experiment, run_id: str, **params: Any) -> Any:
    from collections import defaultdict  # noqa: PLC0415 - stands in for Airflow's collection of events
    from types import SimpleNamespace  # noqa: PLC0415 - see above

    task, instance = task_of(experiment, "summary"), Instance(experiment.lab, "summary", run_id=run_id)
    events: Any = defaultdict(SimpleNamespace)
    told = task.execute({"ti": instance, "params": params, "outlet_events": events})
    assert all(event.extra == told for event in events.values())
    # What is no outlet when the task ends gets no event.
    assert list(events) == task.outlets
    told["assets"] = [asset.uri for asset in task.outlets]
    return told
