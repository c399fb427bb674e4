"""Every kind of failure, provoked with the real nix command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.building import ExpressionSource, FileSource, FlakeSource, Nix
from airflow_provider_repx.errors import (
    NixBuildError,
    NixError,
    NixEvaluationError,
    NixMissingAttributeError,
)

if TYPE_CHECKING:
    from tests.integration.building.conftest import FlakeFolder

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('throw "the user says so"', "the user says so"),
        ("assert 1 == 2; null", "assertion .* failed"),
        ('1 + "x"', "cannot add"),
        ("{ }.name", "attribute 'name' missing"),
        ("5", "is not a derivation|expected a set|expected flake output"),
    ],
)
def test_evaluation(nix: Nix, flake: FlakeFolder, value: str, message: str) -> None:
    directory = flake.write(default=value)
    with pytest.raises(NixEvaluationError, match=message) as caught:
        nix.build(directory)
    assert type(caught.value) is NixEvaluationError
    assert str(caught.value).startswith(f"path:{directory} does not evaluate: ")
    assert "\x1b" not in str(caught.value)


def test_the_message_stays_the_same_however_often_it_is_tried(nix: Nix, flake: FlakeFolder) -> None:
    # The cache of evaluations, were it on, would remember the failure without its message.
    directory = flake.write(one='throw "the first text"', two='throw "the second text"')
    for _ in range(4):
        for attribute, text in (("one", "the first text"), ("two", "the second text")):
            with pytest.raises(NixEvaluationError, match=text):
                nix.build(FlakeSource(directory, attribute))
        with pytest.raises(NixMissingAttributeError):
            nix.build(FlakeSource(directory, "nothing"))


def test_a_syntax_error_names_file_and_line(nix: Nix, tmp_path: Path) -> None:
    (tmp_path / "flake.nix").write_text("{\n  outputs = ;\n}\n")
    with pytest.raises(NixEvaluationError, match=r"syntax error.*(?s:.*)flake\.nix:2:"):
        nix.build(str(tmp_path))


def test_partial_output_of_a_failed_evaluation_is_not_taken(nix: Nix, flake: FlakeFolder) -> None:
    directory = flake.write(value='{ a = 1; b = throw "not this one"; }')
    with pytest.raises(NixEvaluationError, match="not this one"):
        nix.eval(FlakeSource(directory, "value"))


def test_missing_attributes(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    directory = flake.write(lab='shell "lab" "echo 1 > $out" // { runs = { }; }')
    file = tmp_path / "lab.nix"
    file.write_text("{ lab = 1; }")
    for source in (
        FlakeSource(directory, "nothing"),
        FlakeSource(directory),
        FlakeSource(directory, "lab.runs.nothing"),
        FileSource(file, "nothing"),
        ExpressionSource("{ }", "nothing"),
    ):
        with pytest.raises(NixMissingAttributeError, match=r"Correct the attribute"):
            nix.build(source)
    with pytest.raises(NixMissingAttributeError):
        nix.eval(FlakeSource(directory, "nothing"))


def test_there_is_no_such_place(nix: Nix) -> None:
    for source in (FlakeSource("/nonexistent"), FileSource(Path("/nonexistent.nix"))):
        with pytest.raises(NixEvaluationError, match=r"No such file or directory|does not exist"):
            nix.build(source)


def test_a_failed_builder(nix: Nix, flake: FlakeFolder) -> None:
    script = "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; done; echo went wrong >&2; exit 3"
    directory = flake.write(default=f'shell "lab" "cat ${{shell "stage" "{script}"}} > $out"')
    with pytest.raises(NixBuildError) as caught:
        nix.build(directory)
    text = str(caught.value)
    assert "derivation 'stage' failed to build" in text
    assert "exit code 3" in text
    assert "  > line 7\n" in text
    assert "  > line 5\n" not in text
    assert "  > went wrong\n" in text
    assert text.rsplit("\n", maxsplit=1)[-1].startswith("Its whole log: nix log /")


def test_a_builder_without_a_result(nix: Nix, flake: FlakeFolder) -> None:
    with pytest.raises(NixBuildError, match=r"derivation 'lab' failed to build.*failed to produce output"):
        nix.build(flake.write(default='shell "lab" "true"'))


def test_a_derivation_for_another_kind_of_machine(nix: Nix) -> None:
    other = 'derivation { name = "lab"; system = "mips-irix"; builder = "/bin/sh"; }'
    with pytest.raises(NixBuildError, match="mips-irix"):
        nix.build(ExpressionSource(other))


def test_an_out_link_that_is_in_the_way(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    directory = flake.write(default='shell "lab" "echo 1 > $out"')
    link = tmp_path / "result"
    link.mkdir()
    (link / "precious").touch()
    with pytest.raises(NixError, match="Remove it, or name another link") as caught:
        nix.build(directory, out_link=link)
    assert type(caught.value) is NixError
    assert (link / "precious").exists()


def test_an_out_link_in_a_folder_that_cannot_be_made(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    directory = flake.write(default='shell "lab" "echo 1 > $out"')
    with pytest.raises(NixError, match="the folder for the link cannot be made"):
        nix.build(directory, out_link=tmp_path / "file/result")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written(nix: Nix, flake: FlakeFolder, short_folder: Path) -> None:
    short_folder.chmod(0o555)
    with pytest.raises(NixError, match="Permission denied") as caught:
        nix.build(flake.write(default='shell "lab" "echo 1 > $out"'))
    assert type(caught.value) is NixError
