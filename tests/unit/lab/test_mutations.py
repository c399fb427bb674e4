"""Whatever happens to a lab's files, reading gives a lab or one of this package's errors, and never escapes the lab."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_repx.errors import LabError
from airflow_provider_repx.lab import effective_parameters, read_lab, topological_order
from tests.support.labs import write_manifest
from tests.unit.lab.making import scatter_gather_lab, two_runs

pytestmark = pytest.mark.unit

FILES = ("revision/metadata-sim.json", "revision/metadata-top.json", "lab/lab-metadata.json")

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "..", "/", "self", "step:x", "$out", "\0", "\ud800", "hard", "../../x", "1" * 5000]),
    st.text(max_size=5),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.text(max_size=3), SCALARS, max_size=2))

quickly = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in a JSON document."""
    yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from places(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value[:3]):
            yield from places(child, (*path, index))


def read_everything(path: Path) -> None:
    lab = read_lab(path)
    for name in lab.run_names:
        run = lab.run(name)
        assert len(topological_order(run)) == len(run.jobs)
        effective_parameters(run)
        for job in run.jobs.values():
            for executable in job.executables.values():
                assert (path / executable.path).resolve().is_relative_to(path.resolve())


def read_or_refuse(path: Path) -> None:
    try:
        read_everything(path)
    except LabError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


@pytest.fixture(params=[two_runs, scatter_gather_lab], ids=["simple", "scatter-gather"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made: Path = request.param(tmp_path / "lab")
    return made


@quickly
@given(data=st.data())
def test_any_value_anywhere(path: Path, data: st.DataObject) -> None:
    relative = data.draw(st.sampled_from(FILES))
    file = path / relative
    before = file.read_bytes()
    manifest_before = (path / FILES[2]).read_bytes()
    document = copy.deepcopy(json.loads(before))
    place = data.draw(st.sampled_from([place for place in places(document) if place]))
    owner = document
    for key in place[:-1]:
        owner = owner[key]
    action = data.draw(st.sampled_from(["replace", "remove", "rename"]))
    if action == "replace":
        owner[place[-1]] = data.draw(VALUES)
    elif action == "remove" or isinstance(owner, list):
        del owner[place[-1]]
    else:
        owner[data.draw(st.text(max_size=40))] = owner.pop(place[-1])
    try:
        file.write_text(json.dumps(document))
        if relative != FILES[2]:
            write_manifest(path)
        read_or_refuse(path)
    finally:
        file.write_bytes(before)
        (path / FILES[2]).write_bytes(manifest_before)


@quickly
@given(data=st.data())
def test_any_byte_anywhere(path: Path, data: st.DataObject) -> None:
    relative = data.draw(st.sampled_from(FILES))
    file = path / relative
    before = file.read_bytes()
    manifest_before = (path / FILES[2]).read_bytes()
    start = data.draw(st.integers(0, len(before)))
    end = data.draw(st.integers(start, min(len(before), start + 20)))
    try:
        file.write_bytes(before[:start] + data.draw(st.binary(max_size=5)) + before[end:])
        if relative != FILES[2]:
            write_manifest(path)
        read_or_refuse(path)
    finally:
        file.write_bytes(before)
        (path / FILES[2]).write_bytes(manifest_before)


def test_any_file_missing(path: Path) -> None:
    for file in sorted(path.rglob("*")):
        if file.is_file():
            kept = file.with_name("kept-aside")
            file.rename(kept)
            with pytest.raises(LabError):
                read_lab(path).verify()
            kept.rename(file)
    read_lab(path).verify()


def test_any_folder_in_place_of_a_file(path: Path) -> None:
    for file in sorted(path.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            file.unlink()
            file.mkdir()
            with pytest.raises(LabError):
                read_lab(path).verify()
            shutil.rmtree(file)
            file.write_bytes(content)
