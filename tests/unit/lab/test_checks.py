from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.errors import LabFormatError, LabPathError
from airflow_provider_repx.lab import read_lab, sink_step, step_order
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.unit.lab.making import (
    CONSUMER,
    PLOT_FILE,
    PRODUCER,
    REPORT,
    SIM_FILE,
    SPLIT,
    edit,
    edit_job,
    scatter_gather_lab,
    step,
    two_runs,
)

pytestmark = pytest.mark.unit


def message(path: Path, run: str = "sim") -> str:
    with pytest.raises(LabFormatError) as caught:
        read_lab(path).run(run)
    return str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return two_runs(tmp_path / "lab")


@pytest.mark.parametrize(
    "bad",
    [
        "../../../../etc",
        "short-name",
        "a/b",
        f"{PRODUCER}/x",
        PRODUCER[:32],
        "e" * 32 + "-name-1.1",
        f"{PRODUCER}\n",
        f"{PRODUCER} x",
        f"{PRODUCER}$(x)",
    ],
)
def test_a_job_id_has_the_shape_of_a_store_name(path: Path, bad: str) -> None:
    edit(path, SIM_FILE, lambda record: record["jobs"].update({bad: record["jobs"].pop(CONSUMER)}))
    assert "not a job id" in message(path)


@pytest.mark.parametrize("bad", ["/bin/sh", "../x", f"jobs/{PRODUCER}/../../../x", "", "a\0b", "."])
def test_an_executable_lies_in_the_lab(path: Path, bad: str) -> None:
    edit_job(path, PRODUCER, lambda job: job["executables"]["main"].update(path=bad))
    with pytest.raises(LabPathError, match=rf"metadata-sim.json: sim/{PRODUCER}: executables.main.path: the path"):
        read_lab(path).run("sim")


def test_an_image_lies_in_the_lab(path: Path) -> None:
    edit(path, SIM_FILE, lambda record: record.update(image="/images/x.tar"))
    with pytest.raises(LabPathError, match=r"sim: image: the path '/images/x.tar' is absolute"):
        read_lab(path).run("sim")


def test_a_simple_job_needs_main(path: Path) -> None:
    edit_job(path, PRODUCER, lambda job: job.update(executables={"other": job["executables"]["main"]}))
    assert f"sim/{PRODUCER}: executables: a simple job needs the executable 'main'; found: other" in message(path)


def test_an_input_from_an_unknown_job_names_both(path: Path) -> None:
    edit_job(path, CONSUMER, lambda job: job["executables"]["main"]["inputs"][0].update(job_id=REPORT))
    assert (
        f"sim/{CONSUMER}: executables.main.inputs[0]: job_id: reads from the job '{REPORT}', which is not in"
        in message(path)
    )


@pytest.mark.parametrize(
    ("output", "expected"),
    [("dada", f"the job '{PRODUCER}' has no output 'dada'; it has: data"), (None, "source_output: missing")],
)
def test_an_input_names_an_output_of_its_producer(path: Path, output: str | None, expected: Any) -> None:
    edit_job(path, CONSUMER, lambda job: job["executables"]["main"]["inputs"][0].update(source_output=output))
    assert expected in message(path)


def test_an_input_from_a_run_names_a_dependency(path: Path) -> None:
    edit(path, PLOT_FILE, lambda record: record.update(dependencies={}))
    expected = (
        f"plot/{REPORT}: executables.main.inputs[0]: source_run: 'sim' is not among the run's dependencies (none)"
    )
    assert expected in message(path, "plot")


@pytest.mark.parametrize(("kind", "field"), [("intra-pipeline", "job_id"), ("inter-run", "source_run")])
def test_an_input_names_its_source(path: Path, kind: Any, field: str) -> None:
    mapping = {"type": kind, "target_input": "x"}
    edit_job(path, CONSUMER, lambda job: job["executables"]["main"].update(inputs=[mapping]))
    assert f"inputs[0]: {field}: missing" in message(path)


def test_self_is_for_jobs_with_a_scatter(path: Path) -> None:
    edit_job(path, CONSUMER, lambda job: job["executables"]["main"]["inputs"][0].update(job_id="self"))
    assert "'self' means the outputs of the job's own scatter" in message(path)


def test_jobs_in_a_circle_are_refused(tmp_path: Path) -> None:
    ids = [job_id(f"{name}-1.1") for name in "abc"]
    jobs = [JobSpec(ids[n], reads={"x": (ids[n - 1], "data")}) for n in range(3)]
    text = message(write_lab(tmp_path / "lab", [RunSpec("sim", jobs)]))
    assert "jobs read from each other in a circle" in text
    assert text.count(" <- ") == 3


def test_a_job_that_reads_from_itself_is_refused(path: Path) -> None:
    edit_job(
        path,
        PRODUCER,
        lambda job: job["executables"]["main"].update(
            inputs=[{"job_id": PRODUCER, "source_output": "data", "target_input": "x"}]
        ),
    )
    assert f"circle: {PRODUCER} <- {PRODUCER}" in message(path)


def test_a_long_chain_of_jobs_is_no_problem(tmp_path: Path) -> None:
    ids = [job_id("link-1.1", str(number)) for number in range(3000)]
    jobs = [JobSpec(ids[0])] + [JobSpec(ids[n], reads={"x": (ids[n - 1], "data")}) for n in range(1, 3000)]
    assert len(read_lab(write_lab(tmp_path / "lab", [RunSpec("sim", jobs[::-1])])).run("sim").jobs) == 3000


def test_a_sound_scatter_gather_job_is_read(tmp_path: Path) -> None:
    job = read_lab(scatter_gather_lab(tmp_path / "lab")).run("sim").jobs[SPLIT]
    assert job.output_executable.outputs == {"sums": "$out/sums.txt"}
    assert step_order(job) == ("extract", "square", "double", "combine")
    assert sink_step(job) == "combine"


@pytest.mark.parametrize("executable", ["scatter", "gather", "step-only"])
def test_a_scatter_gather_job_needs_all_its_parts(tmp_path: Path, executable: str) -> None:
    path = scatter_gather_lab(tmp_path / "lab", {"only": step("only")})
    edit_job(path, SPLIT, lambda job: job["executables"].pop(executable))
    text = message(path)
    assert "needs the executables 'scatter', 'gather' and at least one 'step-<name>'; found: " in text


def test_a_lab_with_workers_is_called_too_old(tmp_path: Path) -> None:
    path = scatter_gather_lab(tmp_path / "lab", {"only": step("only")})
    edit_job(path, SPLIT, lambda job: job["executables"].update(worker=job["executables"].pop("step-only")))
    assert "'worker' executable, as RepX 0.1 to 0.2.2 wrote it; this lab is too old" in message(path)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({"a": step("a", deps=("b",))}, "executables.step-a.deps: there is no step 'b'; steps: a"),
        (
            {"a": step("a", deps=("b",)), "b": step("b", deps=("a",))},
            "steps depend on each other in a circle: a <- b <- a",
        ),
        ({"a": step("a", deps=("a",))}, "steps depend on each other in a circle: a <- a"),
        (
            {"a": step("a"), "b": step("b")},
            "exactly one step may be the last, which no other depends on; these are: a, b",
        ),
        ({"a": step("a", outputs=("x", "y"))}, "step-a.outputs: the last step has exactly one output, .* found: x, y"),
        (
            {"a": step("a"), "b": step("b", deps=("a",)) | {"deps": []}, "c": step("c", deps=("a", "b"))},
            "step-b.inputs.1..source: reads from the step 'a', which is not in its deps",
        ),
        (
            {"a": step("a", outputs=("other",)), "b": step("b", deps=("a",))},
            "the step 'a' has no output 'result'; it has: other",
        ),
    ],
)
def test_steps_form_one_sound_graph(tmp_path: Path, steps: dict[str, dict[str, Any]], expected: Any) -> None:
    path = scatter_gather_lab(tmp_path / "lab", steps)
    with pytest.raises(LabFormatError, match=expected):
        read_lab(path).run("sim")


@pytest.mark.parametrize(
    ("executable", "source"),
    [
        ("gather", "scatter:work_item"),
        ("step-only", "runner:worker_outputs"),
        ("step-only", "nonsense"),
        ("gather", "step:only"),
    ],
)
def test_a_source_is_one_that_the_executable_can_read(tmp_path: Path, executable: str, source: str) -> None:
    path = scatter_gather_lab(tmp_path / "lab", {"only": step("only")})
    edit_job(path, SPLIT, lambda job: job["executables"][executable]["inputs"][0].update(source=source))
    assert f"executables.{executable}.inputs[0].source: {executable} cannot read from '{source}'" in message(path)


def test_a_step_that_reads_from_an_unknown_step_is_refused(tmp_path: Path) -> None:
    path = scatter_gather_lab(tmp_path / "lab", {"only": step("only")})
    edit_job(path, SPLIT, lambda job: job["executables"]["step-only"]["inputs"][0].update(source="step:x"))
    assert "there is no step 'x'; steps: only" in message(path)


def test_gather_reads_outputs_of_its_own_scatter(tmp_path: Path) -> None:
    path = scatter_gather_lab(tmp_path / "lab", {"only": step("only")})
    edit_job(path, SPLIT, lambda job: job["executables"]["gather"]["inputs"][1].update(source_output="x"))
    assert "the job 'self' has no output 'x'; it has: work__items, worker__arg" in message(path)


def test_the_name_of_a_step_is_no_path(tmp_path: Path) -> None:
    assert "the name of a step may not hold '/'" in message(
        scatter_gather_lab(tmp_path / "lab", {"../x": step("../x")})
    )
