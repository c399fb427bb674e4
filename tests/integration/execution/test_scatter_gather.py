"""Scatter-gather jobs on this machine, part by part, as the tasks of a DAG run them."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from airflow_provider_repx.errors import JobInputError, StoreError, WorkItemsError
from airflow_provider_repx.execution.jobs import JobOutcome, cancel_local, is_done
from airflow_provider_repx.execution.store import Claimant, JobPaths, JobStatus
from airflow_provider_repx.execution.store.parts import failed_part
from airflow_provider_repx.execution.units import Unit, read_work_items, rejection_command, settle_branches
from airflow_provider_repx.lab import JobId
from airflow_provider_repx.lab.graph import step_order, steps_of
from tests.integration.execution.bench import Bench, eventually, try_of
from tests.support.labs import JobSpec, job_id
from tests.support.scatter_gather import DIAMOND, StepSpec, scatter_gather

pytestmark = pytest.mark.integration

JOB = JobId(job_id("split-1.1"))


@dataclass
class Split:
    """A scatter-gather job whose items come from a file, and whose parts count their executions and fail on demand.

    A part is called ``scatter``, ``gather``, or like ``left:2``.
    """

    bench: Bench
    steps: Mapping[str, StepSpec]

    @property
    def items(self) -> Path:
        return self.bench.path / "items.json"

    @property
    def paths(self) -> JobPaths:
        return self.bench.store.job(JOB)

    def part(self, name: str) -> JobPaths:
        return self.unit(name).paths(self.bench.store)

    def unit(self, name: str) -> Unit:
        step, _, branch = name.partition(":")
        return Unit(JOB, "step", int(branch), step) if branch else Unit(JOB, step)  # type: ignore[arg-type]

    def write(self, items: Any) -> None:
        self.items.write_text(items if isinstance(items, str) else json.dumps(items))

    def fail(self, name: str) -> Path:
        file = self.bench.path / f"fail-{name}"
        file.touch()
        return file

    def executions(self) -> Counter[str]:
        file = self.bench.path / "executions"
        return Counter(file.read_text().splitlines()) if file.exists() else Counter()

    def run(self, name: str, claimant: Claimant | None = None, **options: Any) -> JobOutcome:
        unit = self.unit(name)
        return self.bench.run(JOB, claimant, part=unit.part, branch=unit.branch, step=unit.step, **options)

    def settle(self) -> list[str]:
        """The first step that is not done of each branch that is not."""
        items = read_work_items(self.bench.store, JOB)
        found = settle_branches(self.bench.store, JOB, self.record, items)
        return [f"{one.step}:{one.branch}" for one in found]

    @property
    def record(self) -> Any:
        return self.bench.lab.run("simulation").jobs[JOB]

    def drive(self, claimant: Claimant | None = None, **options: Any) -> dict[str, str]:
        """Run every part whose predecessors are done, as a DAG run does; the status of each that was asked for."""
        states = {"scatter": str(self.run("scatter", claimant, **options).status)}
        if states["scatter"] != "succeeded":
            return states
        self.settle()
        branches = len(read_work_items(self.bench.store, JOB))
        for branch in range(branches):
            for step in step_order(self.record):
                if all(states[f"{name}:{branch}"] == "succeeded" for name in steps_of(self.record)[step].deps):
                    states[f"{step}:{branch}"] = self.run(f"{step}:{branch}", claimant, **options).status
                else:
                    states[f"{step}:{branch}"] = "not started"
        if all(state == "succeeded" for state in states.values()):
            states["gather"] = self.run("gather", claimant, **options).status
        return states

    def result(self) -> list[str]:
        return (self.paths.out / "data.txt").read_text().splitlines()


def make(
    bench: Bench, items: Any, *, steps: Mapping[str, StepSpec] = DIAMOND, before: str = "", **fields: Any
) -> Split:
    split = Split(bench, steps)
    split.write(items)
    folder = shlex.quote(str(bench.path))
    count = f'label="${{part#step-}}${{branch:+:$branch}}"; echo "$label" >> {folder}/executions\n{before}\n'
    count += f'if [[ -e {folder}/"fail-$label" ]]; then echo "no luck with $label" >&2; exit 3; fi'
    copy = f"cp {shlex.quote(str(split.items))} work_items.json"
    bench.specs.append(scatter_gather(JOB, items=copy, steps=steps, before=count, **fields))
    return split


def diamond(item: Any) -> str:
    text = json.dumps(item, separators=(",", ":"), ensure_ascii=False)
    return f"join(left(start({text})) right(start({text})))"


def test_the_files_are_those_of_repx(bench: Bench) -> None:
    split = make(bench, [{"b": 1, "a": "ü"}, 2], params={"rate": 0.5})
    assert set(split.drive().values()) == {"succeeded"}
    root = split.paths.root
    logs = {"stdout.log", "stderr.log", "SUCCESS", "attempt.json"}
    expected = {f"scatter/repx/{name}" for name in logs} | {"scatter/out/work_items.json", "scatter/out/note.txt"}
    expected |= {f"repx/{name}" for name in logs}
    expected |= {f"repx/{name}.json" for name in ("inputs", "parameters", "gather_inputs", "worker_outs_manifest")}
    expected |= {"out/data.txt", "out/outs"}
    for branch in (0, 1):
        expected.add(f"branch-{branch}/repx/work_item.json")
        for step in DIAMOND:
            expected |= {f"branch-{branch}/step-{step}/repx/{name}" for name in (*logs, "inputs.json")}
            expected.add(f"branch-{branch}/step-{step}/out/data.txt")
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == expected
    assert (root / "branch-0/repx/work_item.json").read_text() == '{"b":1,"a":"ü"}'
    assert json.loads((root / "repx/worker_outs_manifest.json").read_text()) == [
        {"data": f"{root}/branch-{branch}/step-join/out/data.txt"} for branch in (0, 1)
    ]
    assert json.loads((root / "repx/gather_inputs.json").read_text()) == {
        "worker__outs": f"{root}/repx/worker_outs_manifest.json",
        "note": f"{root}/scatter/out/note.txt",
    }
    assert json.loads((root / "repx/parameters.json").read_text()) == {"rate": 0.5}
    assert bench.store.completions.read_text() == f'{{"id":"{JOB}","s":"ok"}}\n'
    assert split.result() == [diamond({"b": 1, "a": "ü"}), diamond(2), "noted"]
    assert bench.store.status(JOB) is JobStatus.SUCCEEDED


BEHIND = {
    "scatter": ["scatter", *(f"{step}:{branch}" for branch in (0, 1, 2) for step in DIAMOND), "gather"],
    "start:1": ["start:1", "left:1", "right:1", "join:1", "gather"],
    "left:1": ["left:1", "join:1", "gather"],
    "right:1": ["right:1", "join:1", "gather"],
    "join:1": ["join:1", "gather"],
    "gather": ["gather"],
}


@pytest.mark.parametrize("name", list(BEHIND))
def test_a_failure_is_its_own_and_the_next_try_resumes_there(bench: Bench, name: str) -> None:
    split = make(bench, ["a", "b", "c"])
    culprit = split.fail(name)
    states = split.drive(try_of(1, run_id="first"))
    assert [part for part, state in states.items() if state == "failed"] == [name]
    done = 1 + 3 * 4 - (len(BEHIND[name]) - 1 if name != "scatter" else 13)
    assert sum(state == "succeeded" for state in states.values()) == (0 if name == "scatter" else done)
    assert split.part(name).fail.exists()
    # As RepX has it: scatter and gather mark the job, a step does not; only gather settles it.
    assert split.paths.fail.exists() == (name in ("scatter", "gather"))
    assert bench.completions() == ({JOB: False} if name == "gather" else {})
    assert bench.store.status(JOB) is JobStatus.FAILED
    assert (failed_part(bench.store.job(JOB)) or bench.store.job(JOB)) == split.part(name)
    assert f"no luck with {name}" in split.part(name).stderr.read_text()
    if ":" in name:
        text = rf"1 of 3 branches are not done.*\n.*branch 1: step {name[:-2]} failed"
        with pytest.raises(JobInputError, match=text):
            split.run("gather")

    culprit.unlink()
    before = split.executions()
    assert set(split.drive(try_of(1, run_id="second")).values()) == {"succeeded"}
    assert split.executions() - before == Counter(BEHIND[name])
    assert split.result() == [*map(diamond, "abc"), "noted"]
    assert bench.completions() == {JOB: True}
    assert not split.paths.fail.exists()


def test_a_done_job_is_reused_part_by_part(bench: Bench) -> None:
    split = make(bench, ["a"])
    split.drive()
    before = split.executions()
    for path in split.paths.root.glob("branch-*/step-*/repx/SUCCESS"):
        path.unlink()
    assert set(split.drive(try_of(1, run_id="other")).values()) == {"succeeded"}
    outcome = split.run("left:0", try_of(1, run_id="other"))
    assert outcome.reused
    assert outcome.summary()["step"] == "left"
    assert split.executions() == before


@pytest.mark.parametrize("items", [[], ["one"]])
def test_few_items(bench: Bench, items: list[str]) -> None:
    split = make(bench, items)
    assert set(split.drive().values()) == {"succeeded"}
    assert split.result() == [*map(diamond, items), "noted"]


@pytest.mark.parametrize("number", [1200, pytest.param(5000, marks=pytest.mark.full)])
def test_many_items(bench: Bench, number: int) -> None:
    items = [{"id": index, "text": "it's $HOME `x` \n \\ ü"} for index in range(number)]
    split = make(bench, items, steps={"only": StepSpec()})
    assert split.run("scatter").status == "succeeded"
    assert len(split.settle()) == number
    written = [json.loads(split.paths.work_item(index).read_text()) for index in range(number)]
    assert written == items
    # Much faster than path objects.
    all_of_them = f"{{0..{number - 1}}}"
    fill = f"mkdir -p branch-{all_of_them}/step-only/{{out,repx}}; for n in {all_of_them}; do cd branch-$n/step-only; "
    fill += "printf $n > out/data.txt; : > repx/SUCCESS; cd ../..; done; rm branch-1100/step-only/repx/SUCCESS"
    subprocess.run(["bash", "-ec", fill], cwd=split.paths.root, check=True)
    assert split.settle() == ["only:1100"]
    with pytest.raises(JobInputError, match=rf"1 of {number} branches.*\n.*branch 1100: step only was not run"):
        split.run("gather")
    assert split.run("only:1100").status == "succeeded"
    (split.part("only:1100").out / "data.txt").write_text("1100")
    assert split.run("gather").status == "succeeded"
    assert split.result() == [*map(str, range(number)), "noted"]


def test_items_that_change_between_tries(bench: Bench) -> None:
    split = make(bench, ["a", "b", "c", "d"])
    split.fail("join:0").touch()
    split.drive()
    (bench.path / "fail-join:0").unlink()
    split.write(["a", "B", "c"])
    split.part("scatter").success.unlink()
    before = split.executions()
    split.run("scatter")
    assert split.settle() == ["join:0", "start:1"]
    assert not list(split.paths.branch(1).glob("step-*/repx/SUCCESS"))
    assert len(list(split.paths.root.glob("branch-[023]/step-*/repx/SUCCESS"))) == 3 + 4 + 4
    assert set(split.drive().values()) == {"succeeded"}
    changed = ["scatter", "join:0", "start:1", "left:1", "right:1", "join:1", "gather"]
    assert split.executions() - before == Counter(changed)
    assert split.result() == [*map(diamond, ["a", "B", "c"]), "noted"]


NOT_ITEMS = {
    "[1, 2": "is not JSON",
    "": "is not JSON",
    '{"a": 1}': "holds an object",
    '"text"': "holds a string",
    "null": "holds the value null",
    "[NaN]": "is not JSON: NaN is not a number in JSON",
    '["\\ud800"]': "is not JSON",
    "[" * 100_000: "is not JSON",
}


@pytest.mark.parametrize("content", list(NOT_ITEMS), ids=lambda content: content[:10] or "empty")
def test_items_that_are_none_fail_scatter_and_do_not_stick(bench: Bench, content: str) -> None:
    split = make(bench, content)
    outcome = split.run("scatter")
    assert outcome.status == "failed"
    assert f"{split.paths.work_items}: {NOT_ITEMS[content]}" in outcome.describe()
    assert split.part("scatter").fail.exists()
    assert split.paths.fail.exists()
    assert not split.part("scatter").success.exists()
    assert bench.store.status(JOB) is JobStatus.FAILED
    split.write(["a"])
    assert set(split.drive().values()) == {"succeeded"}
    assert split.executions()["scatter"] == 2


def test_items_that_are_missing(bench: Bench) -> None:
    split = make(bench, [])
    bench.specs[-1].scripts["scatter"] = "true"
    assert "work_items.json: is not there, although scatter" in split.run("scatter").cause
    assert not is_done(bench.request(JOB, try_of(1), part="scatter"))


def test_bad_items_that_another_tool_has_left_are_made_anew(bench: Bench) -> None:
    split = make(bench, ["a"])
    scatter = split.part("scatter")
    scatter.repx.mkdir(parents=True)
    scatter.success.touch()
    split.paths.work_items.parent.mkdir()
    split.paths.work_items.write_text("{}")
    with pytest.raises(WorkItemsError, match=r"work_items\.json: holds an object"):
        split.settle()
    assert set(split.drive().values()) == {"succeeded"}
    assert split.executions()["scatter"] == 1


def test_what_another_machine_ran_can_be_rejected(bench: Bench) -> None:
    split = make(bench, ["a"])
    split.run("scatter")
    subprocess.run(rejection_command(split.paths), check=True)
    assert split.part("scatter").fail.exists()
    assert not split.part("scatter").success.exists()
    assert bench.store.status(JOB) is JobStatus.FAILED
    assert set(split.drive().values()) == {"succeeded"}


def test_a_store_that_cannot_be_written_is_told_in_few_words(bench: Bench) -> None:
    split = make(bench, list(range(300)))
    split.run("scatter")
    for number in range(300):
        split.paths.branch(number).touch()
    with pytest.raises(StoreError, match="the branches cannot be prepared") as caught:
        split.settle()
    assert len(str(caught.value).splitlines()) < 10


def test_steps_that_another_tool_has_done_are_reused(bench: Bench) -> None:
    split = make(bench, ["a"])
    split.run("scatter")
    split.settle()
    for name in ("start", "left", "right"):
        paths = split.part(f"{name}:0")
        paths.repx.mkdir(parents=True)
        paths.out.mkdir()
        (paths.out / "data.txt").write_text(name)
        paths.success.touch()
    assert set(split.drive().values()) == {"succeeded"}
    assert split.executions() == Counter(["scatter", "join:0", "gather"])
    assert split.result() == ["join(left right)", "noted"]


def test_what_was_made_from_a_step_is_made_anew_when_that_is(bench: Bench) -> None:
    split = make(bench, ["a", "b"])
    split.drive()
    before = split.executions()
    assert split.run("start:1", try_of(1, run_id="other"), force=True).status == "succeeded"
    assert bench.store.status(JOB) is JobStatus.PENDING
    assert bench.completions() == {JOB: False}
    assert split.settle() == ["left:1"]
    assert set(split.drive(try_of(1, run_id="third")).values()) == {"succeeded"}
    again = ["start:1", "left:1", "right:1", "join:1", "gather"]
    assert split.executions() - before == Counter(again)


def test_a_marker_older_than_what_it_was_made_from_does_not_count(bench: Bench) -> None:
    split = make(bench, ["a"])
    split.drive()
    split.paths.success.unlink()
    # As RepX leaves it when it is stopped in the middle of running steps again.
    split.part("start:0").success.unlink()
    split.part("start:0").success.touch()
    assert split.settle() == ["left:0"]
    assert not is_done(bench.request(JOB, try_of(1), part="step", branch=0, step="left"))
    before = split.executions()
    assert set(split.drive(try_of(1, run_id="other")).values()) == {"succeeded"}
    assert split.executions() - before == Counter(["left:0", "right:0", "join:0", "gather"])


def test_force_runs_each_part_once_per_dag_run(bench: Bench) -> None:
    split = make(bench, ["a", "b"])
    split.drive()
    once = split.executions()
    forced = try_of(1, run_id="forced")
    split.run("scatter", forced, force=True)
    assert bench.store.status(JOB) is JobStatus.PENDING
    assert bench.completions() == {JOB: False}
    assert set(split.drive(forced, force=True).values()) == {"succeeded"}
    assert split.executions() == once + once
    assert set(split.drive(try_of(2, run_id="forced"), force=True).values()) == {"succeeded"}
    assert split.executions() == once + once


def test_what_is_missing_is_named(bench: Bench) -> None:
    producer = JobId(job_id("prepare-1.1"))
    bench.specs.append(JobSpec(producer))
    split = make(bench, ["a"], reads={"seed": (producer, "data")})
    with pytest.raises(JobInputError, match=f"input 'seed': its producer {producer} is not done"):
        split.run("scatter")
    with pytest.raises(JobInputError, match=f"{JOB} branch 0 step start needs scatter, which is not done"):
        split.run("start:0")
    with pytest.raises(JobInputError, match="branch 0 step join needs branch-0/step-left, which is not done"):
        split.run("join:0")
    assert not split.executions()
    assert not list(split.paths.root.rglob("claim"))


def gated(bench: Bench, items: Any, part: str = "left:0") -> Split:
    """One part waits at the gate."""
    wait = f"while [[ $label == {part} && ! -e {shlex.quote(str(bench.gate))} ]]; do sleep 0.02; done"
    return make(bench, items, before=wait)


def until_left(bench: Bench, split: Split) -> None:
    split.run("scatter")
    split.settle()
    split.run("start:0")


STEP: dict[str, Any] = {"part": "step", "branch": 0, "step": "left"}


def started(split: Split, part: str = "left:0") -> None:
    eventually(lambda: split.executions()[part], "the start of the step")


def test_two_workers_run_a_step_once(bench: Bench) -> None:
    split = gated(bench, ["a"])
    until_left(bench, split)
    first, second = bench.worker(), bench.worker()
    first.order(JOB, try_of(1, run_id="one"), **STEP)
    started(split)
    second.order(JOB, try_of(1, run_id="two"), **STEP)
    eventually(lambda: "waiting for its outcome" in second.said(), "the second worker to wait")
    assert bench.store.status(JOB) is JobStatus.RUNNING
    bench.gate.touch()
    assert [worker.answer()["status"] for worker in (first, second)] == ["succeeded", "succeeded"]
    assert split.executions()["left:0"] == 1


def test_a_killed_worker_leaves_a_step_that_the_next_try_takes_over(bench: Bench) -> None:
    split = gated(bench, ["a"])
    until_left(bench, split)
    worker = bench.worker()
    worker.order(JOB, try_of(1), **STEP)
    started(split)
    worker.end(signal.SIGKILL)
    other = bench.worker()
    other.order(JOB, try_of(2), **STEP)
    eventually(lambda: "waiting for its outcome" in other.said(), "the next try to wait for the orphan")
    bench.gate.touch()
    answer = other.answer()
    assert (answer["status"], answer["reused"]) == ("succeeded", True)
    assert set(split.drive(try_of(1, run_id="later")).values()) == {"succeeded"}
    assert split.executions() == Counter(["scatter", "start:0", "left:0", "right:0", "join:0", "gather"])


def test_an_orphan_scatter_that_fails_marks_the_job(bench: Bench) -> None:
    split = gated(bench, {"not": "an array"}, "scatter")
    split.fail("scatter")
    worker = bench.worker()
    worker.order(JOB, try_of(1), part="scatter")
    started(split, "scatter")
    worker.end(signal.SIGKILL)
    bench.gate.touch()
    eventually(
        lambda: split.part("scatter").fail.exists() or not bench.processes_of(split.part("scatter").claim), "end"
    )
    outcome = split.run("scatter", try_of(2))
    assert (outcome.status, outcome.reused) == ("failed", True)
    assert split.paths.fail.exists()


def test_after_everything_was_killed_only_that_step_runs_again(bench: Bench) -> None:
    split = gated(bench, ["a"])
    until_left(bench, split)
    worker = bench.worker()
    worker.order(JOB, try_of(1), **STEP)
    started(split)
    claim = split.part("left:0").claim
    assert claim.exists()
    processes = bench.processes_of(claim)
    assert processes
    worker.end(signal.SIGKILL)
    for process in processes:
        # The end of one may have been the end of another.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    bench.gate.touch()
    eventually(lambda: bench.store.status(JOB) is JobStatus.PENDING, "the end of all processes")
    assert set(split.drive(try_of(2)).values()) == {"succeeded"}
    assert split.executions() == Counter(["scatter", "start:0", "left:0", "left:0", "right:0", "join:0", "gather"])


def test_a_step_can_be_cancelled_and_others_are_left_alone(bench: Bench) -> None:
    split = gated(bench, ["a"])
    until_left(bench, split)
    worker = bench.worker()
    worker.order(JOB, try_of(1), **STEP)
    started(split)
    assert not cancel_local(bench.store, split.unit("right:0"), try_of(1))
    assert not cancel_local(bench.store, split.unit("left:0"), try_of(1, run_id="other"))
    assert cancel_local(bench.store, split.unit("left:0"), try_of(1))
    assert worker.answer()["status"] == "cancelled"
    assert not split.part("left:0").fail.exists()
    assert not split.part("left:0").success.exists()


@pytest.mark.parametrize("step", ["start", "left"])
def test_a_step_that_ends_after_its_item_has_changed_is_run_again(bench: Bench, step: str) -> None:
    split = gated(bench, ["a"], f"{step}:0")
    split.run("scatter")
    split.settle()
    if step == "left":
        split.run("start:0")
    worker = bench.worker()
    worker.order(JOB, try_of(1, run_id="old"), part="step", branch=0, step=step)
    started(split, f"{step}:0")
    split.write(["b"])
    split.run("scatter", try_of(1, run_id="new"), force=True)
    assert split.settle() == ["start:0"]
    bench.gate.touch()
    assert worker.answer()["status"] == "succeeded"
    assert split.part(f"{step}:0").success.exists()
    assert split.settle() == ["start:0"]
    assert set(split.drive(try_of(1, run_id="new")).values()) == {"succeeded"}
    assert split.result() == [diamond("b"), "noted"]
    assert split.executions()[f"{step}:0"] == 2
