from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_repx.errors import LabFormatError, LabLookupError
from airflow_provider_repx.lab import read_lab
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab, write_manifest

pytestmark = pytest.mark.unit


@pytest.fixture
def sliced(tmp_path: Path) -> Path:
    """The slice of `last` of a lab where `last` depends on `middle`, and that on `first`: it carries their metadata."""
    runs = [
        RunSpec("first", [JobSpec(job_id("a-1.1"))]),
        RunSpec("middle", [JobSpec(job_id("b-1.1"))], dependencies={"first": "hard"}),
        RunSpec("last", [JobSpec(job_id("c-1.1"))], dependencies={"middle": "hard"}),
    ]
    lab = write_lab(tmp_path / "lab", runs)
    top = lab / "revision/metadata-top.json"
    top.write_text(json.dumps(json.loads(top.read_text()) | {"runs": ["revision/metadata-last.json"]}))
    write_manifest(lab)
    return lab


def test_a_slice_offers_its_run_and_knows_what_it_depends_on(sliced: Path) -> None:
    lab = read_lab(sliced)
    assert lab.run_names == ("last",)
    (dependency,) = lab.run("last").dependencies
    assert (dependency.run, dependency.kind) == ("middle", "hard")
    assert list(lab.run("middle").jobs) == [job_id("b-1.1")]
    assert list(lab.run("first").jobs) == [job_id("a-1.1")]
    assert lab.run_names == ("last",)


def test_a_run_that_nothing_depends_on_is_not_there(sliced: Path) -> None:
    with pytest.raises(LabLookupError, match="first"):
        read_lab(sliced).run("first")


def test_a_dependency_whose_file_is_missing_is_refused(sliced: Path) -> None:
    (sliced / "revision/metadata-middle.json").unlink()
    write_manifest(sliced)
    with pytest.raises(LabFormatError, match="not a run of this lab"):
        read_lab(sliced).run("last")
