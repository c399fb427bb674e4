"""Parts of scatter-gather jobs on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_repx.targets import Target
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.support.scatter_gather import StepSpec, scatter_gather
from tests.unit.cli.airflow_database import AirflowDatabase
from tests.unit.cli.calling import Repx, check_golden

pytestmark = pytest.mark.unit

RAW = job_id("raw-1.1")
SPLIT = job_id("split-1.1")
LATER = job_id("split-1.1", "later")
STEPS = {"fit": StepSpec(hints={"cpus": 4, "mem": "2G"}), "join it": StepSpec(deps=("fit",))}


@pytest.fixture
def split_folder(tmp_path: Path) -> Path:
    """A lab with two scatter-gather jobs.

    Of the first, scatter is done and branch 0 too, step fit of branch 1 has failed, branch 2 has not begun; of the
    second nothing has.
    """
    jobs = [
        JobSpec(RAW),
        scatter_gather(SPLIT, items="", steps=STEPS, reads={"start": (RAW, "data")}, params={"seed": 1}),
        scatter_gather(LATER, items="", steps=STEPS, params={"seed": 2}),
    ]
    write_lab(tmp_path / "lab", [RunSpec("simulation", jobs)], lab_id="0123456789abcdfghijklmnpqrsvwxyz")
    outputs = tmp_path / "base" / "outputs"
    job = outputs / SPLIT
    for folder, marker in {
        outputs / RAW: "SUCCESS",
        job / "scatter": "SUCCESS",
        job / "branch-0/step-fit": "SUCCESS",
        job / "branch-0/step-join it": "SUCCESS",
        job / "branch-1/step-fit": "FAIL",
        # Of an earlier scatter, which had found more.
        job / "branch-7/step-fit": "FAIL",
    }.items():
        (folder / "repx").mkdir(parents=True)
        (folder / "repx" / marker).touch()
        (folder / "repx" / "stdout.log").write_text(f"log of {folder.name}\n")
        (folder / "out").mkdir()
    (job / "scatter/out/work_items.json").write_text('["a", "it\'s", {"c": [3]}]')
    (job / "branch-0/step-fit/out/data.txt").write_text("fitted\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("parts-list-jobs", ("list", "jobs", "--parts")),
        ("parts-list-jobs-by-stage", ("list", "jobs", SPLIT, "--parts", "-g", "--output-paths")),
        ("parts-list-jobs-json", ("list", "jobs", SPLIT, "--parts", "-o", "json", "--status", "failed")),
        ("parts-show-job", ("show", "job", SPLIT)),
        ("parts-show-part", ("show", "job", f"{SPLIT}/branch-1/step-fit")),
        ("parts-show-part-json", ("show", "job", f"{SPLIT}/scatter", "-o", "json")),
        ("parts-log", ("log", f"{SPLIT}/branch-0/step-join it")),
        ("parts-log-json", ("log", f"{SPLIT}/scatter", "-o", "json")),
        ("parts-show-output", ("show", "output", f"{SPLIT}/branch-0/step-fit")),
    ],
)
def test_output(split_folder: Path, repx: Repx, name: str, arguments: tuple[str, ...]) -> None:
    call = repx(*arguments)
    assert (call.code, call.err) == (0, "")
    check_golden(call.out, name, split_folder)


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "jobs", "--parts"),
        ("list", "runs"),
        ("show", "job", SPLIT),
        ("show", "job", f"{SPLIT}/branch-1/step-fit"),
        ("log", f"{SPLIT}/branch-0/step-join it"),
        ("log", f"{SPLIT}/branch-1/step-join it"),
        ("show", "output", f"{SPLIT}/branch-0/step-fit", "data.txt"),
        ("show", "output", f"{SPLIT}/gather"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_parts_on_another_machine_are_shown_as_those_of_this_one(
    split_folder: Path, repx: Repx, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    here = repx(*arguments)
    monkeypatch.setattr(Target, "is_remote", True)
    there = repx(*arguments)
    assert (there.code, there.out) == (here.code, here.out)


def test_a_failed_scatter_is_no_failure_of_gather(split_folder: Path, repx: Repx) -> None:
    # As its failure is marked: in its own folder and in the job's, which is gather's.
    for folder in ("", "scatter"):
        (split_folder / "base/outputs" / LATER / folder / "repx").mkdir(parents=True)
        (split_folder / "base/outputs" / LATER / folder / "repx" / "FAIL").touch()
    rows = json.loads(repx("list", "jobs", LATER, "--parts", "-o", "json").out)
    assert [(row["part"], row["status"]) for row in rows] == [
        (None, "failed"),
        ("scatter", "failed"),
        ("gather", "pending"),
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("log", f"{SPLIT}/branch-1"), "Its parts: scatter, branch-N/step-fit, branch-N/step-join it, gather"),
        (("show", "job", f"{SPLIT}/branch-01/step-fit"), "has no part 'branch-01/step-fit'"),
        (("log", f"{SPLIT}/branch-1/step-fitt"), "has no part"),
        (("log", f"{SPLIT}/../{RAW}"), "has no part"),
        (("show", "output", f"{RAW}/scatter"), "is a simple job, which has no parts"),
        (("debug-run", f"{SPLIT}/branch-3/step-fit", "-c", "true"), "The scatter has made: branch-0 to branch-2"),
        (("show", "job", "/scatter"), "no job's id begins with ''"),
    ],
)
def test_what_is_no_part_is_one_clear_line(
    split_folder: Path, repx: Repx, arguments: tuple[str, ...], text: str
) -> None:
    call = repx(*arguments)
    assert (call.code, call.out) == (2, "")
    assert text in call.error


def test_a_step_by_hand_gets_what_it_would_get(split_folder: Path, repx: Repx, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    line = 'printf "%s|" "$(<"${inputs[worker__item]}")" "${parameters[seed]}" "${inputs[start]}" > told'
    call = repx("debug-run", f"{SPLIT}/branch-2/step-fit", "--directory", str(scratch), "-c", line)
    assert call.code == 0, call.err
    raw = split_folder / "base/outputs" / RAW / "out/data.txt"
    assert (scratch / "out/told").read_text() == f'{{"c":[3]}}|1|{raw}|'
    assert not (split_folder / "base/outputs" / SPLIT / "branch-2").exists()


def test_a_step_by_hand_needs_the_steps_before_it(split_folder: Path, repx: Repx) -> None:
    step = repx("debug-run", f"{SPLIT}/branch-1/step-join it", "-c", "true")
    assert (step.code, f"{SPLIT}/branch-1/step-fit (failed)" in step.error) == (1, True)
    # Whose stale failure does not count.
    later = repx("debug-run", f"{LATER}/branch-0/step-fit", "-c", "true")
    assert (later.code, "left no work items yet" in later.error) == (1, True)
    gather = repx("debug-run", LATER, "-c", "true")
    assert (gather.code, "how many there are is not known before scatter is done" in gather.error) == (1, True)


def test_gather_by_hand_gets_the_outputs_of_all_branches(split_folder: Path, repx: Repx, tmp_path: Path) -> None:
    job = split_folder / "base/outputs" / SPLIT
    for branch in range(3):
        for step in ("fit", "join it"):
            repx_folder = job / f"branch-{branch}/step-{step}/repx"
            repx_folder.mkdir(parents=True, exist_ok=True)
            (repx_folder / "SUCCESS").touch()
    scratch = tmp_path / "scratch"
    call = repx("debug-run", SPLIT, "--directory", str(scratch), "-c", "true")
    assert call.code == 0, call.err
    told = json.loads((scratch / "worker_outs_manifest.json").read_text())
    assert told == [{"data": str(job / f"branch-{branch}/step-join it/out/data.txt")} for branch in range(3)]
    assert json.loads((scratch / "inputs.json").read_text())["start"].endswith(f"{RAW}/out/data.txt")
    assert not (job / "repx").exists()


def test_cancelling_a_scatter_gather_job_marks_its_tasks_alone(
    airflow: AirflowDatabase, split_folder: Path, repx: Repx
) -> None:
    airflow.add_dags("from airflow_provider_repx import repx_dags\nglobals().update(repx_dags())")
    assert repx("run", "simulation").code == 0
    airflow.set_run("repx_simulation", "running")
    airflow.set_tasks("repx_simulation", "running")
    call = repx("cancel", "simulation", "--jobs", SPLIT, "--wait", "-o", "json")
    assert call.code == 0, call.err
    states = airflow.tasks("repx_simulation")
    failed = {task for (task, _), state in states.items() if state == "failed"}
    groups = {task.partition(".")[0] for task in failed}
    assert len(groups) == 1
    (group,) = groups
    assert failed == {task for task, _ in states if task.startswith(f"{group}.")}
    assert json.loads(call.out)[0]["tasks"] == len([key for key, state in states.items() if state == "failed"])
    assert {f"{group}.scatter", f"{group}.gather"} <= failed
