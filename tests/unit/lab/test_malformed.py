"""Every malformed field is named by file, run, job and field, in words that need no knowledge of the reader."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.errors import LabFormatError
from airflow_provider_repx.lab import read_lab
from tests.support.labs import write_manifest
from tests.unit.lab.making import CONSUMER, PRODUCER, SIM_FILE, edit, edit_job, two_runs

pytestmark = pytest.mark.unit


def problems(path: Path, run: str = "sim") -> list[str]:
    with pytest.raises(LabFormatError) as caught:
        read_lab(path).run(run)
    return str(caught.value).replace(f"{path.resolve()}/", "").splitlines()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return two_runs(tmp_path / "lab")


def execs(job: Any) -> Any:
    return job["executables"]["main"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda job: job.pop("name"), "name: missing"),
        (lambda job: job.update(name=3), "name: must be text, not 3"),
        (lambda job: job.update(stage_type="worker"), "stage_type: must be 'simple' or 'scatter-gather', not 'worker'"),
        (lambda job: job.update(params=[1]), "params: must be an object, not a list"),
        (
            lambda job: job.update(params={"x": [1]}),
            "params.x: must be text, a number, true, false or null, not a list",
        ),
        (
            lambda job: job.update(params={"params": {"a": 1}}),
            "params.params: must be text, a number, true, false or null, not an object",
        ),
        (lambda job: job.update(params={"x": float("nan")}), "params.x: must be a finite number, not nan"),
        (lambda job: job.update(params={"x": float("-inf")}), "params.x: must be a finite number, not -inf"),
        (lambda job: job.update(axes={"x": {}}), "axes.x: must be text, a number, true, false or null, not an object"),
        (lambda job: job.update(resource_hints={"cpus": "2"}), "resource_hints.cpus: must be a whole number, not '2'"),
        (lambda job: job.update(resource_hints={"cpus": 0}), "resource_hints.cpus: must be at least 1, not 0"),
        (lambda job: job.update(resource_hints={"mem": 5}), "resource_hints.mem: must be text, not 5"),
        (lambda job: job.update(executables=None), "executables: must be an object, not null"),
        (lambda job: execs(job).pop("path"), "executables.main.path: missing"),
        (lambda job: execs(job).update(inputs={}), "executables.main.inputs: must be a list, not an object"),
        (
            lambda job: execs(job).update(inputs=[{"target_input": "a"}, {}]),
            "executables.main.inputs[1].target_input: missing",
        ),
        (
            lambda job: execs(job).update(inputs=[{"target_input": "a", "dependency_type": "medium"}]),
            "executables.main.inputs[0].dependency_type: must be 'hard' or 'soft', not 'medium'",
        ),
        (
            lambda job: execs(job).update(outputs={"data": True}),
            "executables.main.outputs.data: must be text or an object, not true",
        ),
        (lambda job: execs(job).update(inputs=["x" * 99]), f"inputs[0]: must be an object, not '{'x' * 56}..."),
    ],
)
def test_a_malformed_field_of_a_job_is_named(path: Path, change: Callable[[Any], None], expected: Any) -> None:
    edit_job(path, PRODUCER, change)
    (line,) = problems(path)
    assert line.startswith(f"{SIM_FILE}: sim/{PRODUCER}: ")
    assert line.endswith(expected)


def test_parameters_for_params_is_explained(path: Path) -> None:
    edit_job(path, PRODUCER, lambda job: job.update(parameters=job.pop("params")))
    (line,) = problems(path)
    assert line.startswith(f"{SIM_FILE}: sim/{PRODUCER}: params: missing; this job has 'parameters' instead")


def test_a_malformed_field_of_a_run_is_named(path: Path) -> None:
    edit(path, SIM_FILE, lambda record: record.update(gitHash=None))
    assert problems(path) == [f"{SIM_FILE}: sim: gitHash: must be text, not null"]


def test_all_malformed_fields_are_named_at_once(path: Path) -> None:
    edit_job(path, PRODUCER, lambda job: job.update(name=1, params={"a": [], "b": {}}))
    edit_job(path, CONSUMER, lambda job: job.pop("stage_type"))
    assert [line.split(": ")[1:3] for line in problems(path)] == [
        [f"sim/{PRODUCER}", "name"],
        [f"sim/{PRODUCER}", "params.a"],
        [f"sim/{PRODUCER}", "params.b"],
        [f"sim/{CONSUMER}", "stage_type"],
    ]


def test_after_ten_malformed_fields_they_are_counted(path: Path) -> None:
    edit_job(path, PRODUCER, lambda job: job.update(params={f"p{number}": [] for number in range(25)}))
    lines = problems(path)
    assert len(lines) == 11
    assert lines[-1] == "... and 15 more problems of this file"


def test_no_message_shows_the_types_that_were_tried(path: Path) -> None:
    edit_job(path, PRODUCER, lambda job: job.update(params={"x": []}))
    (line,) = problems(path)
    assert not re.search(r"union|StrictStr|pydantic|\.bool|\.int|\.float|\.str", line)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"type": "run",\n "name": "si', r"EOF while parsing a string at line 2 column 12"),
        (b"", "EOF while parsing a value at line 1 column 0"),
        (b"[]", "must be an object, not a list"),
        (b'{"type": "run", "name": "\xff"}', "nvalid"),
        (b"[" * 100_000, "recursion limit exceeded"),
    ],
)
def test_what_is_no_json_object_is_refused_with_its_place(path: Path, content: bytes, message: str) -> None:
    (path / SIM_FILE).write_bytes(content)
    write_manifest(path)
    (line,) = problems(path)
    assert line.startswith(f"{SIM_FILE}: sim: ")
    assert message in line


def test_of_keys_given_twice_the_last_one_wins(path: Path) -> None:
    text = (path / SIM_FILE).read_text().replace('"seed": 1', '"seed": 1, "seed": 7')
    (path / SIM_FILE).write_text(text)
    write_manifest(path)
    assert read_lab(path).run("sim").jobs[PRODUCER].params["seed"] == 7


def test_unknown_fields_are_ignored(path: Path) -> None:
    edit_job(path, PRODUCER, lambda job: job.update(new_in_0_6=1))
    assert PRODUCER in read_lab(path).run("sim").jobs


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("labId", "", "labId: must have at least 1 character, not ''"),
        ("files", [{"path": "a", "sha256": "F" * 64}], "files[0].sha256: must be 64 lower-case hexadecimal digits"),
        ("metadata", None, "metadata: must be text, not null"),
    ],
)
def test_a_malformed_manifest_is_named(path: Path, field: str, value: Any, expected: Any) -> None:
    manifest = path / "lab/lab-metadata.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {field: value}))
    with pytest.raises(LabFormatError) as caught:
        read_lab(path)
    assert f"lab/lab-metadata.json: {expected}" in str(caught.value)


def test_a_malformed_root_is_named(path: Path) -> None:
    edit(path, "revision/metadata-top.json", lambda root: root.update(type="run", runs="x"))
    with pytest.raises(LabFormatError) as caught:
        read_lab(path)
    assert [line.split("metadata-top.json: ")[1] for line in str(caught.value).splitlines()] == [
        "type: must be 'root', not 'run'",
        "runs: must be a list, not 'x'",
    ]
