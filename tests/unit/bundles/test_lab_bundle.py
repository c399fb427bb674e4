from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from airflow_provider_repx.bundles import RepxLabBundle
from airflow_provider_repx.errors import LabNotFoundError, TargetError
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "storage"))
    return tmp_path / "storage"


def build(folder: Path, run: str) -> Path:
    return write_lab(folder, [RunSpec(run, [JobSpec(job_id("a-1.1", run))])])


def point(link: Path, lab: Path) -> None:
    temporary = link.with_name("new")
    temporary.symlink_to(lab)
    temporary.replace(link)


@pytest.fixture
def link(tmp_path: Path) -> Path:
    link = tmp_path / "result"
    point(link, build(tmp_path / "builds/first", "one"))
    return link


def bundle(link: Path, tmp_path: Path, version: str | None = None) -> RepxLabBundle:
    made = RepxLabBundle(
        name="b", version=version, lab=str(link), lab_name="mine", settings={"base_path": str(tmp_path / "base")}
    )
    made.initialize()
    return made


def dag_ids(made: RepxLabBundle) -> list[str]:
    (file,) = made.path.glob("*.py")
    return sorted(name for name in runpy.run_path(str(file)) if name.startswith("repx_") and name != "repx_dags")


def test_the_version_is_the_name_of_the_lab_directory(link: Path, tmp_path: Path) -> None:
    made = bundle(link, tmp_path)
    assert made.get_current_version().version == "first"
    assert dag_ids(made) == ["repx_lab", "repx_one"]


def test_a_new_build_is_a_new_version_and_the_old_one_stays(link: Path, tmp_path: Path) -> None:
    newest = bundle(link, tmp_path)
    point(link, build(tmp_path / "builds/second", "two"))
    newest.refresh()
    assert newest.get_current_version().version == "second"
    assert dag_ids(newest) == ["repx_lab", "repx_two"]
    pinned = bundle(link, tmp_path, version="first")
    assert pinned.get_current_version().version == "first"
    assert dag_ids(pinned) == ["repx_lab", "repx_one"]
    pinned.refresh()
    assert dag_ids(pinned) == ["repx_lab", "repx_one"]


def test_versions_have_the_same_file_name_and_the_same_bytes_each_time(link: Path, tmp_path: Path) -> None:
    first = bundle(link, tmp_path)
    (file,) = first.path.glob("*.py")
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    assert bundle(link, tmp_path).path == first.path
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    point(link, build(tmp_path / "builds/second", "two"))
    assert [other.name for other in bundle(link, tmp_path).path.glob("*.py")] == [file.name]
    assert not list(tmp_path.glob("storage/**/.*.tmp"))


def test_a_missing_lab_says_what_is_missing(link: Path, tmp_path: Path) -> None:
    with pytest.raises(LabNotFoundError, match=r"bundle b: .*gone: no such lab directory"):
        bundle(link, tmp_path, version="gone")
    link.unlink()
    with pytest.raises(LabNotFoundError, match="Build the lab"):
        bundle(link, tmp_path)


def test_a_lab_that_was_never_built_can_be_built_by_its_dag(tmp_path: Path) -> None:
    link = tmp_path / "result"
    settings = {"base_path": str(tmp_path / "base"), "flake": "/srv/lab#lab"}
    made = RepxLabBundle(name="b", lab=str(link), settings=settings)
    made.initialize()
    assert dag_ids(made) == ["repx_lab_build"]
    pinned = RepxLabBundle(name="b", lab=str(link), settings=settings, version=made.get_current_version().version)
    pinned.initialize()
    assert dag_ids(pinned) == ["repx_lab_build"]
    point(link, build(tmp_path / "builds/first", "one"))
    made.refresh()
    assert made.get_current_version().version == "first"
    assert dag_ids(made) == ["repx_lab", "repx_lab_build", "repx_one"]
    pinned.refresh()
    assert pinned.path.name != "first"


def test_a_relative_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="relative"):
        RepxLabBundle(name="b", lab="result")


@pytest.mark.parametrize("version", ["../first", "..", "a/b"])
def test_a_version_is_a_plain_name(link: Path, tmp_path: Path, version: str) -> None:
    with pytest.raises(LabNotFoundError):
        bundle(link, tmp_path, version=version)


@pytest.mark.parametrize("name", ['a"""b', "back\\slash\\N", "ünï"])
def test_any_directory_name_makes_a_dag_file(tmp_path: Path, name: str) -> None:
    link = tmp_path / "result"
    point(link, build(tmp_path / "builds" / name, "one"))
    assert dag_ids(bundle(link, tmp_path)) == ["repx_lab", "repx_one"]
