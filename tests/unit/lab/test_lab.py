from __future__ import annotations

import threading
from pathlib import Path

import pytest

from airflow_provider_repx.errors import (
    LabChangedError,
    LabFormatError,
    LabIntegrityError,
    LabLookupError,
    LabNotFoundError,
    LabPathError,
    TargetError,
)
from airflow_provider_repx.lab import LabReference, RunDependency, open_reference, read_lab
from tests.support.labs import write_manifest
from tests.unit.lab.making import CONSUMER, PLOT_FILE, PRODUCER, SIM_FILE, edit, edit_job, two_runs

pytestmark = pytest.mark.unit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return two_runs(tmp_path / "lab")


def test_a_run_is_what_its_file_says(path: Path) -> None:
    run = read_lab(path).run("sim")
    assert run.name == "sim"
    assert run.metadata == SIM_FILE
    assert run.git_hash == "0" * 40
    assert run.image is None
    assert run.dependencies == ()
    assert run.jobs[PRODUCER].params == {"seed": 1, "rate": 0.5, "fast": True, "note": None}
    assert run.jobs[CONSUMER].producers == (PRODUCER,)
    assert run.jobs[CONSUMER].resource_hints.mem == "1G"


def test_dependencies_are_named_by_run(path: Path) -> None:
    assert read_lab(path).run("plot").dependencies == (RunDependency("sim", "soft"),)


def test_an_unknown_run_is_an_error_that_names_the_nearest(path: Path) -> None:
    with pytest.raises(LabLookupError, match=r"no run called 'simm' \(did you mean 'sim'\?\); known: sim, plot"):
        read_lab(path).run("simm")


def test_groups_list_runs_upstream_first(path: Path) -> None:
    lab = read_lab(path)
    assert lab.groups == {"all": ("plot", "sim"), "compute": ("sim",)}
    assert lab.runs_in_group("all") == ("sim", "plot")
    with pytest.raises(LabLookupError, match="no group called 'al'"):
        lab.runs_in_group("al")


def test_the_name_inside_the_file_must_match(path: Path) -> None:
    edit(path, SIM_FILE, lambda record: record.update(name="other"))
    with pytest.raises(LabFormatError, match=r"metadata-sim.json: sim: name: is 'other', but the file is called after"):
        read_lab(path).run("sim")


@pytest.mark.parametrize(
    ("upstream", "message"),
    [("revision/metadata-x.json", "is not a run of this lab; runs: "), (PLOT_FILE, "is the run itself")],
)
def test_dependencies_are_other_runs_of_the_lab(path: Path, upstream: str, message: str) -> None:
    edit(path, PLOT_FILE, lambda record: record.update(dependencies={upstream: "hard"}))
    with pytest.raises(LabFormatError, match=f"plot: dependencies: '{upstream}' {message}"):
        read_lab(path).run("plot")


def test_a_reference_finds_the_same_lab_again(path: Path) -> None:
    lab = read_lab(path)
    reference = lab.reference("demo")
    assert reference == LabReference("demo", path.resolve(), lab.lab_id)
    assert open_reference(reference).lab_id == lab.lab_id


def test_a_reference_to_a_lab_that_was_replaced_is_refused(path: Path) -> None:
    reference = read_lab(path).reference("demo")
    edit_job(path, PRODUCER, lambda job: job["params"].update(seed=2))
    with pytest.raises(LabChangedError, match=rf"the lab 'demo' was {reference.lab_id} when this DAG run started"):
        open_reference(reference)


def test_a_reference_to_a_lab_that_was_removed_is_refused(path: Path, tmp_path: Path) -> None:
    reference = read_lab(path).reference("demo")
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(LabNotFoundError, match="there is no lab"):
        open_reference(reference)


def test_a_file_is_verified_and_located(path: Path) -> None:
    relative = f"jobs/{PRODUCER}/bin/main"
    assert read_lab(path).file(relative) == path.resolve() / relative


def test_a_changed_file_is_refused(path: Path) -> None:
    relative = f"jobs/{PRODUCER}/bin/main"
    (path / relative).write_text("#!/bin/sh\n")
    with pytest.raises(LabIntegrityError, match="its content is not what the lab's manifest promises"):
        read_lab(path).file(relative)


def test_a_file_that_somebody_added_is_refused(path: Path) -> None:
    (path / "jobs/extra").write_text("")
    with pytest.raises(LabIntegrityError, match="not listed in the lab's manifest"):
        read_lab(path).file("jobs/extra")


def test_a_file_of_a_folder_that_the_manifest_leaves_out_is_accepted(path: Path) -> None:
    (path / "host-tools").mkdir()
    (path / "host-tools/jq").write_text("")
    assert read_lab(path).file("host-tools/jq").name == "jq"


def test_a_link_to_a_listed_file_is_verified_as_that_file(path: Path) -> None:
    (path / "images/x.tar").mkdir(parents=True)
    (path / "images/x.tar/manifest.json").write_text("[]")
    write_manifest(path)
    link = path / "images/x.tar/layer.tar"
    link.symlink_to(f"../../jobs/{PRODUCER}/bin/main")
    assert read_lab(path).file("images/x.tar/layer.tar") == path.resolve() / f"jobs/{PRODUCER}/bin/main"
    (path / f"jobs/{PRODUCER}/bin/main").write_text("changed")
    with pytest.raises(LabIntegrityError, match="not what the lab's manifest promises"):
        read_lab(path).file("images/x.tar/layer.tar")


@pytest.mark.parametrize("relative", ["../x", "/etc/passwd", "a\0b", ""])
def test_a_file_outside_the_lab_is_refused(path: Path, relative: str) -> None:
    with pytest.raises(LabPathError, match="stay inside it"):
        read_lab(path).file(relative)


def test_many_threads_read_a_run_once(path: Path) -> None:
    lab = read_lab(path)
    barrier = threading.Barrier(8)
    found = []

    def read() -> None:
        barrier.wait()
        found.append(lab.run("sim"))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(run) for run in found}) == 1


def test_results_need_a_base_path(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__REPX__BASE_PATH", raising=False)
    with pytest.raises(TargetError, match=r"Pass base_path.*AIRFLOW__REPX__BASE_PATH"):
        read_lab(path).results("sim")


def test_results_of_an_unknown_run_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(LabLookupError, match="no run called 'x'"):
        read_lab(path).results("x", tmp_path)


def test_another_spelling_of_a_path_does_not_escape_verification(path: Path) -> None:
    (path / "jobs/extra").write_text("")
    with pytest.raises(LabIntegrityError, match="not listed"):
        read_lab(path).file("./jobs/extra")


@pytest.mark.parametrize("given", ["argument", "environment"])
def test_results_come_from_the_store_under_the_base_path(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    base = tmp_path / "base"
    markers = base / "outputs" / PRODUCER / "repx"
    markers.mkdir(parents=True)
    (markers / "SUCCESS").touch()
    monkeypatch.setenv("AIRFLOW__REPX__BASE_PATH", str(base if given == "environment" else tmp_path / "elsewhere"))
    rows = {row.job_id: row for row in read_lab(path).results("sim", base if given == "argument" else None)}
    assert set(rows) == {PRODUCER, CONSUMER}
    assert rows[PRODUCER].outputs["data"] == base / "outputs" / PRODUCER / "out/data.txt"
    assert rows[PRODUCER].status != rows[CONSUMER].status
