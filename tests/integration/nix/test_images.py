"""Container images: what is asked of nixpkgs' dockerTools, in its own words, and what a job finds in its image.

labs/docker_tools.nix stands in for dockerTools and refuses what the real one refuses.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.support.nix import Nix

pytestmark = pytest.mark.integration


def image(nix: Nix, labs: Path, stage: str, *, layered: str = "new") -> tuple[dict[str, str], Path]:
    """Build a lab of one stage with an image: the links in the image's root, and the lab."""
    lab = nix.build(
        "--impure",
        "--expr",
        f"with import {labs}/tools.nix; let pkgs = repx-lib.hostPkgs // import {labs}/docker_tools.nix "
        f'{{ layered = "{layered}"; }} repx-lib.hostPkgs; in lab {{ inherit pkgs; containerMode = "unified"; '
        f"runs.sim = runOf {{ }} {{ only = callStage ({stage}) [ ]; }}; }}",
    ).path
    [folder] = lab.glob("images/*")
    [manifest] = json.loads((folder / "manifest.json").read_text())
    links = {}
    with tarfile.open(folder / manifest["Layers"][-1]) as layer:
        for member in layer:
            content = layer.extractfile(member)
            assert content is not None
            links[member.name] = content.read().decode()
    return links, lab


def mentioned(links: dict[str, str]) -> list[str]:
    """The names of the store paths that an image has besides its programs."""
    paths = Path(links["share/repx/mentioned-paths"]).read_text().split()
    return [Path(path).name.split("-", 1)[1] for path in paths]


def test_an_image_has_the_programs_of_the_jobs_and_a_shell_to_start_them(nix: Nix, labs: Path) -> None:
    links, _ = image(nix, labs, "producer // { runDependencies = [ pkgs.rsync ]; }")

    assert {"bin/sh", "bin/bash", "bin/cat", "bin/grep", "bin/rsync"} <= set(links)
    assert mentioned(links) == []


def test_the_output_with_the_programs_is_taken(nix: Nix, labs: Path) -> None:
    # As nixpkgs has it: the first output, which the package itself stands for, need not be the one with the programs.
    package = "(pkgs.gawk // { bin = pkgs.rsync; })"

    links, lab = image(nix, labs, f"producer // {{ runDependencies = [ {package} ]; }}")
    [script] = lab.glob("jobs/*/bin/producer")

    assert "bin/rsync" in links
    assert str(Path(links["bin/rsync"]).parent) in script.read_text()


def test_an_output_that_a_lab_names_is_taken(nix: Nix, labs: Path) -> None:
    package = "(pkgs.rsync // { bin = pkgs.gnuplot; outputSpecified = true; })"

    links, _ = image(nix, labs, f"producer // {{ runDependencies = [ {package} ]; }}")

    assert "bin/rsync" in links
    assert "bin/gnuplot" not in links


def test_an_image_has_what_scripts_parameters_and_defaults_mention(nix: Nix, labs: Path) -> None:
    links, _ = image(
        nix,
        labs,
        f"producer // {{ params.file = {labs}/circle_a.nix; inputs.data = {labs}/circle_b.nix; "
        f'run = _: "cat ${{{labs}/circle_free.nix}} ${{pkgs.jq}}/bin/jq"; }}',
    )

    assert sorted(mentioned(links)) == ["circle_a.nix", "circle_b.nix", "circle_free.nix", "host-jq"]


def test_a_changed_script_keeps_the_image_while_it_mentions_the_same_paths(nix: Nix, labs: Path) -> None:
    def name(words: str) -> str:
        _, lab = image(nix, labs, f'producer // {{ run = _: "cat ${{{labs}/circle_a.nix}} {words}"; }}')
        return next(lab.glob("images/*")).name

    assert name("one") == name("two words")


@pytest.mark.parametrize("layered", ["new", "old"])
def test_old_and_new_docker_tools_serve_alike(nix: Nix, labs: Path, layered: str) -> None:
    # Those of nixpkgs before 24.05 take a closed list of arguments without `compressor`, and always compress.
    links, lab = image(nix, labs, "producer", layered=layered)

    assert "bin/sh" in links
    [record] = [json.loads((lab / "revision/metadata-sim.json").read_text())]
    assert (lab / record["image"] / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("layered", "argument"),
    [("new", "copyToRoot = [ ]"), ("old", "copyToRoot = [ ]"), ("old", 'compressor = "none"')],
)
def test_the_stand_in_refuses_unknown_arguments_like_the_real_one(
    nix: Nix, labs: Path, layered: str, argument: str
) -> None:
    known = 'compressor = "none";' if layered == "new" else ""

    error = nix.evaluation_error(
        f'with import {labs}/tools.nix; ((import {labs}/docker_tools.nix {{ layered = "{layered}"; }} pkgs)'
        f'.dockerTools.buildLayeredImage {{ name = "a"; {known} {argument}; }}).drvPath'
    )

    assert f"called with unexpected argument '{argument.split(maxsplit=1)[0]}'" in error


def test_more_paths_than_an_environment_variable_holds(nix: Nix, labs: Path, tmp_path: Path) -> None:
    for number in range(2500):
        (tmp_path / f"a-file-with-a-rather-long-name-{number}").touch()

    lab = nix.build(
        "--impure",
        "--expr",
        f"with import {labs}/tools.nix; let pkgs = repx-lib.hostPkgs // import {labs}/docker_tools.nix {{ }} "
        'repx-lib.hostPkgs; in lab { inherit pkgs; containerMode = "unified"; '
        f"runs.sim = runOf {{ file = utils.files {tmp_path}; }} "
        '{ only = callStage (producer // { params.file = ""; }) [ ]; }; }',
    ).path

    [record] = [json.loads((lab / "revision/metadata-sim.json").read_text())]
    assert len(record["jobs"]) == 2500
