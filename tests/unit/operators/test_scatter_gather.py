"""What the tasks of a scatter-gather job do, beside what Airflow tells them. The jobs are real."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_repx import repx_dags
from airflow_provider_repx.errors import JobCancelledError, JobFailedError
from airflow_provider_repx.lab import JobId, read_lab
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.support.scatter_gather import StepSpec, scatter_gather

pytestmark = pytest.mark.unit

SOURCE = JobId(job_id("source-1.1"))
SPLIT = JobId(job_id("split-1.1"))
STEPS = {"first": StepSpec(), "last": StepSpec(deps=("first",))}


@dataclass
class Instance:
    """The part of a task instance that tasks ask; `states` are those of the DAG run's other task instances."""

    bench: Bench
    map_index: int = -1
    states: dict[str, list[str]] = field(default_factory=lambda: {"open_lab": ["success"]})
    try_number: int = 1
    dag_id: str = "repx_main"
    run_id: str = "manual"
    task_id: str = "task"

    def xcom_pull(self, *, task_ids: str, key: str = "return_value") -> Any:
        if key == "lab_id":
            return read_lab(self.bench.lab).lab_id
        if key == "plan":
            return self.bench.dag().get_task("summary").plan.fingerprint
        assert task_ids == "split.branches"
        return self.bench.branches

    def get_ti_count(self, *, dag_id: str, run_ids: list[str], states: list[str], task_ids: list[str]) -> int:
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        return sum(state in states for task in task_ids for state in self.states.get(task, ()))


@dataclass
class Bench:
    """source -> split; parts count their executions as ``scatter``, ``first:2``, ``gather``, and fail on demand."""

    path: Path
    settings: dict[str, Any] = field(default_factory=dict)
    branches: Any = None

    @property
    def lab(self) -> Path:
        return self.path / "lab"

    def write(self, items: str) -> None:
        count = f'label="${{part#step-}}${{branch:+:$branch}}"; echo "$label" >> "{self.path}/executions"\n'
        count += f'if [ -e "{self.path}/fail-$label" ]; then echo "no luck" >&2; exit 3; fi'
        split = scatter_gather(
            SPLIT,
            items=f"echo '{items}' > work_items.json",
            steps=STEPS,
            reads={"source": (SOURCE, "data")},
            before=count,
        )
        write_lab(self.lab, [RunSpec("main", [JobSpec(SOURCE, script="touch data.txt"), split])])

    def dag(self) -> Any:
        dags = repx_dags(lab=self.lab, base_path=self.path / "base", cpus=4, memory="8G", **self.settings)
        return dags["repx_main"]

    def task(self, task_id: str) -> Any:
        return self.dag().get_task(task_id)

    def execute(self, task_id: str, map_index: int = -1, *, instance: Instance | None = None, **params: Any) -> Any:
        given = instance or Instance(self)
        given.map_index = map_index
        given.task_id = task_id
        found = self.task(task_id).execute({"ti": given, "params": params})
        if task_id == "split.branches":
            self.branches = found
        return found

    def scattered(self) -> None:
        for task_id in ("source", "split.scatter", "split.branches"):
            self.execute(task_id)

    def fail(self, label: str) -> Path:
        file = self.path / f"fail-{label}"
        file.touch()
        return file

    def executions(self) -> Counter[str]:
        file = self.path / "executions"
        return Counter(file.read_text().split()) if file.exists() else Counter()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.write('["a", "b", "c", "d"]')
    return made


@pytest.fixture(autouse=True)
def skipped(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is asked of Airflow to be skipped, where there is none."""
    asked: list[tuple[str, int]] = []
    for module in ("open_lab", "local"):
        monkeypatch.setattr(f"airflow_provider_repx.operators.{module}.skip_task_instances", asked.extend)
    return asked


def test_branches_are_those_that_are_not_done(bench: Bench) -> None:
    bench.scattered()
    assert [bundle["label"] for bundle in bench.branches] == ["0: a", "1: b", "2: c", "3: d"]
    for task_id in ("split.step-first", "split.step-last"):
        bench.execute(task_id, 2)
    assert [bundle["branches"] for bundle in bench.execute("split.branches")] == [[[0, 0]], [[0, 1]], [[0, 3]]]
    assert len(bench.execute("split.branches", force=True)) == 4


def test_a_task_without_its_source_is_skipped(bench: Bench) -> None:
    with pytest.raises(AirflowSkipException):
        bench.execute("split.scatter")
    with pytest.raises(AirflowSkipException):
        bench.execute("split.gather")
    assert bench.execute("split.branches") == []
    assert not bench.executions()


def test_jobs_that_are_not_asked_for_are_skipped(bench: Bench) -> None:
    bench.scattered()
    with pytest.raises(AirflowSkipException, match="Not among the jobs"):
        bench.execute("split.scatter", jobs=["source"])
    assert bench.execute("split.branches", jobs=["source"]) == []
    with pytest.raises(AirflowSkipException, match="Not among the jobs"):
        bench.execute("split.gather", jobs=["source"])


def test_a_failed_step_is_final_and_gather_names_the_branch(bench: Bench) -> None:
    bench.scattered()
    bench.fail("first:1")
    with pytest.raises(AirflowFailException, match="exited with 3"):
        bench.execute("split.step-first", 1)
    for index in (0, 2, 3):
        bench.execute("split.step-first", index)
        bench.execute("split.step-last", index)
    states = {"open_lab": ["success"], "split.step-first": ["failed"]}
    with pytest.raises(
        AirflowFailException, match=r"(?s)1 of 4 branches.*branch 1: step first failed; log: .*stderr\.log"
    ):
        bench.execute("split.gather", instance=Instance(bench, states=states))


def test_retries_can_be_asked_for(bench: Bench) -> None:
    bench.settings["retry_failed_jobs"] = True
    bench.scattered()
    bench.fail("first:1")
    with pytest.raises(JobFailedError):
        bench.execute("split.step-first", 1)


def test_nothing_more_starts_after_a_failure_when_asked(bench: Bench, skipped: list[tuple[str, int]]) -> None:
    bench.scattered()
    states = {"open_lab": ["success"], "split.step-first": ["failed"]}
    bench.execute("split.step-first", 0)
    with pytest.raises(AirflowSkipException):
        bench.execute("split.step-first", 1, instance=Instance(bench, states=states), continue_on_failure=False)
    # What is done is reused all the same.
    bench.execute("split.step-first", 0, instance=Instance(bench, states=states), continue_on_failure=False)
    assert "first:1" not in bench.executions()
    bench.fail("first:2")
    with pytest.raises(AirflowFailException):
        bench.execute("split.step-first", 2, continue_on_failure=False)
    assert ("split.gather", -1) in skipped


def test_one_branch_of_a_bundle_that_fails_does_not_stop_the_others(bench: Bench) -> None:
    bench.settings["max_mapped"] = 2
    bench.scattered()
    assert [bundle["label"] for bundle in bench.branches] == ["0: a (+1)", "2: c (+1)"]
    culprit = bench.fail("first:0")
    outcomes = bench.execute("split.step-first", 0)
    assert [outcome["status"] for outcome in outcomes] == ["failed", "succeeded"]
    with pytest.raises(AirflowFailException, match=r"1 of 2 branches are not done.* branch 0 step last"):
        bench.execute("split.step-last", 0)
    assert bench.executions() == Counter(["scatter", "first:0", "first:1", "last:1"])
    culprit.unlink()
    # "Clear failed" clears the last step only.
    bench.execute("split.step-last", 0, instance=Instance(bench, try_number=2))
    assert bench.executions() - Counter(["scatter", "first:0", "first:1", "last:1"]) == Counter(["first:0", "last:0"])
    for task_id in ("split.step-first", "split.step-last"):
        bench.execute(task_id, 1)
    assert bench.execute("split.gather")[0]["status"] == "succeeded"


def test_a_bundle_of_which_every_branch_fails_stops_there(bench: Bench) -> None:
    bench.settings["max_mapped"] = 2
    bench.scattered()
    bench.fail("first:2")
    bench.fail("first:3")
    with pytest.raises(AirflowFailException, match=r"(?s)branch 2.*branch 3"):
        bench.execute("split.step-first", 1)


def test_a_task_that_was_told_to_stop_starts_nothing(bench: Bench) -> None:
    bench.scattered()
    task = bench.task("split.step-first")
    task.on_kill()
    with pytest.raises(JobCancelledError):
        task.execute({"ti": Instance(bench, map_index=0), "params": {}})
    assert "first:0" not in bench.executions()


def test_a_gate_that_did_not_open_keeps_gather_from_starting(bench: Bench) -> None:
    bench.scattered()
    with pytest.raises(AirflowSkipException, match="open_lab"):
        bench.execute("split.gather", instance=Instance(bench, states={"open_lab": ["failed"]}))


def test_a_failed_scatter_fails_gather_too(bench: Bench) -> None:
    bench.write("{}")
    bench.execute("source")
    with pytest.raises(AirflowFailException, match="holds an object"):
        bench.execute("split.scatter")
    with pytest.raises(AirflowFailException, match=r"scatter failed; log: .* So gather cannot run"):
        bench.execute("split.gather")


def test_what_the_ui_shows_for_a_map_index(bench: Bench) -> None:
    bench.scattered()
    task = bench.task("split.step-first")
    assert task.map_index_template == "{{ task.branch_label(ti) }}"
    assert task.branch_label(Instance(bench, map_index=3)) == "3: d"
