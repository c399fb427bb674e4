from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.errors import LabFormatError, LabIntegrityError, LabPathError
from airflow_provider_repx.lab import read_lab
from airflow_provider_repx.lab.integrity import confined
from tests.support.labs import write_manifest
from tests.unit.lab.making import CONSUMER, PLOT_FILE, PRODUCER, SIM_FILE, edit, two_runs

pytestmark = pytest.mark.unit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return two_runs(tmp_path / "lab")


@given(st.text(alphabet="./a\0b-", max_size=12) | st.text(max_size=12))
def test_a_confined_path_never_leaves_its_folder(text: str) -> None:
    try:
        found = confined(text, "x.json")
    except LabPathError as error:
        assert str(error).startswith("x.json: the path ")  # noqa: PT017 - either outcome is right
        return
    assert os.path.normpath(f"/lab/{found}").startswith("/lab/")
    assert found == PurePosixPath(text).as_posix()
    assert confined(found, "x.json") == found


@given(st.lists(st.sampled_from(["a", "b.c", "-", "x..y", "...", "~"]), min_size=1, max_size=5))
def test_ordinary_paths_are_left_as_they_are(parts: list[str]) -> None:
    assert confined("/".join(parts), "x.json") == "/".join(parts)


def test_verify_counts_the_files_and_reports_progress(path: Path) -> None:
    seen = []
    count = read_lab(path).verify(lambda done, total: seen.append((done, total)))
    assert count == 6
    assert seen == [(done, 6) for done in range(1, 7)]


def test_verify_names_every_changed_or_missing_file(path: Path) -> None:
    (path / f"jobs/{PRODUCER}/bin/main").write_text("changed")
    (path / f"jobs/{CONSUMER}/bin/main").unlink()
    with pytest.raises(LabIntegrityError) as caught:
        read_lab(path).verify()
    first, second = sorted(str(caught.value).splitlines(), key=lambda line: "missing" in line)
    assert f"{PRODUCER}/bin/main: its content is not what the lab's manifest promises" in first
    assert f"{CONSUMER}/bin/main: missing" in second


def test_verify_shows_ten_files_and_counts_the_rest(path: Path) -> None:
    for number in range(15):
        (path / f"jobs/file-{number}").write_text(str(number))
    write_manifest(path)
    for number in range(15):
        (path / f"jobs/file-{number}").unlink()
    with pytest.raises(LabIntegrityError) as caught:
        read_lab(path).verify()
    lines = str(caught.value).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "... and 5 more files"


def test_hard_links_are_verified_too(path: Path) -> None:
    first, second = (path / f"jobs/{job}/bin/main" for job in (PRODUCER, CONSUMER))
    second.unlink()
    second.hardlink_to(first)
    assert read_lab(path).verify() == 6
    first.write_text("changed")
    with pytest.raises(LabIntegrityError) as caught:
        read_lab(path).verify()
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("target", ["../../../../outside", "/absolute/path/outside"])
def test_verify_refuses_a_file_that_links_out_of_the_lab(path: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "outside").write_text("x")
    main = path / f"jobs/{PRODUCER}/bin/main"
    main.unlink()
    main.symlink_to(target)
    with pytest.raises(LabPathError, match="a symbolic link leads out of the lab"):
        read_lab(path).verify()


def test_a_link_into_a_sibling_is_an_escape_even_if_the_content_is_right(path: Path, tmp_path: Path) -> None:
    sibling = two_runs(tmp_path / "lab-2")
    main = path / f"jobs/{PRODUCER}/bin/main"
    main.unlink()
    main.symlink_to(sibling / f"jobs/{PRODUCER}/bin/main")
    with pytest.raises(LabPathError, match="lab-2"):
        read_lab(path).file(f"jobs/{PRODUCER}/bin/main")


def test_verify_refuses_a_missing_image(path: Path) -> None:
    edit(path, SIM_FILE, lambda record: record.update(image="images/x.tar"))
    with pytest.raises(LabIntegrityError, match=r"images/x.tar: missing"):
        read_lab(path).verify()


def test_verify_refuses_an_image_that_is_elsewhere(path: Path, tmp_path: Path) -> None:
    edit(path, SIM_FILE, lambda record: record.update(image="images/x.tar"))
    (tmp_path / "x.tar").mkdir()
    (path / "images").mkdir()
    (path / "images/x.tar").symlink_to(tmp_path / "x.tar")
    with pytest.raises(LabPathError, match="leads out of the lab"):
        read_lab(path).verify()


def test_verify_refuses_a_missing_job_directory(path: Path) -> None:
    (path / f"jobs/{PRODUCER}/bin/main").unlink()
    (path / f"jobs/{PRODUCER}/bin").rmdir()
    (path / f"jobs/{PRODUCER}").rmdir()
    write_manifest(path)
    with pytest.raises(LabIntegrityError, match=rf"jobs/{PRODUCER}: missing"):
        read_lab(path).verify()


def test_verify_refuses_runs_in_a_circle(path: Path) -> None:
    edit(path, SIM_FILE, lambda record: record.update(dependencies={PLOT_FILE: "soft"}))
    with pytest.raises(LabFormatError, match=r"runs depend on each other in a circle: sim <- plot <- sim"):
        read_lab(path).verify()


def test_verify_reads_every_run(path: Path) -> None:
    edit(path, PLOT_FILE, lambda record: record.update(jobs=[]))
    with pytest.raises(LabFormatError, match="plot: jobs: must be an object"):
        read_lab(path).verify()
