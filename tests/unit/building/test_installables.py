from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_repx.building import ExpressionSource, FileSource, FlakeSource, StorePathSource, run_slice
from airflow_provider_repx.errors import NixEvaluationError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "reference",
    [
        "github:owner/repository",
        "git+file:///srv/lab?dir=sub",
        "path:/srv/lab",
        "flake:nixpkgs",
        "nixpkgs",
        "nixpkgs/rev",
    ],
)
def test_references_stay_as_they_are(reference: str) -> None:
    assert FlakeSource(reference).arguments[-1] == reference


def test_directories_become_absolute_path_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "lab").mkdir()
    expected = {
        str(tmp_path): f"path:{tmp_path}",
        ".": f"path:{tmp_path}",
        "": f"path:{tmp_path}",
        "./lab": f"path:{tmp_path}/lab",
        "lab": f"path:{tmp_path}/lab",
        "../there": f"path:{tmp_path}/../there",
        "~/lab": f"path:{tmp_path}/home/lab",
        "/srv/lab?dir=sub": "path:/srv/lab?dir=sub",
    }
    assert {given: str(FlakeSource(given)) for given in expected} == expected


def test_the_attribute_may_follow_the_reference() -> None:
    assert FlakeSource("path:/srv/lab#lab") == FlakeSource("path:/srv/lab", "lab") == FlakeSource("/srv/lab#lab", "lab")
    assert str(FlakeSource("/srv/lab#lab")) == "path:/srv/lab#lab"


def test_two_different_attributes_are_refused() -> None:
    with pytest.raises(NixEvaluationError, match="give one"):
        FlakeSource("/srv/lab#a", "b")


def test_builds_of_a_flake_leave_its_lock_file_alone() -> None:
    assert "--no-write-lock-file" in FlakeSource("/srv/lab").arguments


def test_files_and_expressions() -> None:
    assert FileSource(Path("/srv/lab.nix"), "lab").arguments == ("--impure", "--file", "/srv/lab.nix", "lab")
    assert ExpressionSource("{ a = 1; }", "a").arguments == ("--impure", "--expr", "{ a = 1; }", "a")
    assert StorePathSource(Path("/nix/store/x")).arguments == ("/nix/store/x",)


@pytest.mark.parametrize(
    ("lab", "run", "attribute"),
    [
        (FlakeSource("/srv/lab"), "simulation", "default.runs.simulation"),
        (FlakeSource("/srv/lab", "lab"), "simulation", "lab.runs.simulation"),
        (FlakeSource("/srv/lab", "lab"), "run.2", 'lab.runs."run.2"'),
        (FileSource(Path("/srv/lab.nix")), "simulation-1", "runs.simulation-1"),
        (ExpressionSource("1", "lab"), "simulation", "lab.runs.simulation"),
    ],
)
def test_slices(lab: FlakeSource | FileSource | ExpressionSource, run: str, attribute: str) -> None:
    sliced = run_slice(lab, run)
    assert type(sliced) is type(lab)
    assert sliced.attribute == attribute
