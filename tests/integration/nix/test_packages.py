"""Where packages come from: nixpkgs and the host's programs serve alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.lab_runner import LabRunner
from tests.support.nix import Nix

pytestmark = pytest.mark.integration


def test_packages_in_the_shape_of_nixpkgs(nix: Nix, labs: Path, tmp_path: Path) -> None:
    lab = nix.build(
        "--impure",
        "--expr",
        f"with import {labs}/tools.nix; let pkgs = import {labs}/packages.nix repx-lib.hostPkgs; "
        "stage = { gawk }: producer // { runDependencies = [ gawk ]; }; "
        "in lab { inherit pkgs; runs.sim = runOf { } { only = callStage stage [ ]; }; }",
    ).path

    runner = LabRunner(lab, tmp_path)
    runner.run("sim")

    [record] = runner.metadata("sim")["jobs"].values()
    script = (lab / record["executables"]["main"]["path"]).read_text()
    assert script.startswith(f"#!{lab.parent}/")
    assert script.splitlines()[0].endswith("-host-bash/bin/bash")
    assert "-host-gawk/bin:" in script


def test_host_packages_start_without_a_store(nix: Nix, labs: Path) -> None:
    lab = nix.build("--impure", "--expr", f"with import {labs}/tools.nix; labOfStage {{ }} producer").path

    [script] = lab.glob("jobs/*/bin/producer")

    # A copy of the lab on a machine without Nix finds its tools on the PATH of that machine.
    assert script.read_text().startswith("#!/usr/bin/env bash\n")


def test_what_parameters_refer_to_is_kept_with_the_lab(nix: Nix, labs: Path) -> None:
    lab = nix.build(
        "--impure",
        "--expr",
        f'with import {labs}/tools.nix; lab {{ runs.sim = callRun {{ name = "sim"; params.tool = [ pkgs.jq ]; '
        'pipelines = [ (mkPipe { only = callStage (producer // { params.tool = ""; }) [ ]; }) ]; '
        "parametersDependencies = [ pkgs.rsync ]; } [ ]; }",
    ).path

    paths = nix.succeed("path-info", "--recursive", str(lab)).stdout.split()

    assert [any(path.endswith(name) for path in paths) for name in ("-host-jq", "-host-rsync")] == [True, True]


def test_values_that_are_packages_are_their_paths(nix: Nix, labs: Path) -> None:
    lab = nix.build(
        "--impure",
        "--expr",
        f"with import {labs}/tools.nix; "
        "labOfStage { tool = [ pkgs.jq ./. ]; } (producer // { params.tool = null; })",
        cwd=labs / "patterns/scanning/configs",
    ).path

    record = json.loads((lab / "revision/metadata-sim.json").read_text())

    values = [Path(job["params"]["tool"]) for job in record["jobs"].values()]
    assert [path.name.split("-", 1)[1] for path in values] == ["host-jq", "configs"]
    assert (values[1] / "one.toml").read_text() == "a\n"


def test_layers_that_images_share_are_stored_once(nix: Nix, labs: Path) -> None:
    lab = nix.build(
        "--impure",
        "--expr",
        f"with import {labs}/tools.nix; let images = import {labs}/docker_tools.nix {{ }}; "
        "pkgs = repx-lib.hostPkgs // images repx-lib.hostPkgs; "
        "run = name: packages: callRun { inherit name; pipelines = [ (mkPipe { "
        "only = callStage (producer // { runDependencies = packages; }) [ ]; }) ]; } [ ]; "
        'in lab { inherit pkgs; containerMode = "per-run"; runs = { a = run "a" [ ]; b = run "b" [ pkgs.rsync ]; }; }',
    ).path

    layers = list(lab.glob("images/*/*/layer.tar"))

    assert len(layers) == 4
    assert len({path.resolve() for path in layers}) == 3
    assert all(path.is_symlink() for path in layers)
    assert {path.resolve() for path in layers} == set((lab / "store").glob("*-layer.tar"))
    manifest = json.loads((lab / "lab/lab-metadata.json").read_text())
    listed = {entry["path"] for entry in manifest["files"]}
    assert {str(path.relative_to(lab)) for path in layers} <= listed


def test_ids_do_not_depend_on_where_the_store_is(nix: Nix, labs: Path, tmp_path: Path) -> None:
    expression = (
        f"with import {labs}/tools.nix; labOfStage {{ seed = [ 1 2 ]; }} "
        '(producer // { params.seed = 0; runDependencies = [ pkgs.python3 (pkgs.command "gnuplot") ]; })'
    )

    here, there = (one.build("--impure", "--expr", expression).path for one in (nix, Nix(tmp_path / "other")))

    assert here.parent != there.parent
    assert sorted(path.name for path in here.glob("jobs/*")) == sorted(path.name for path in there.glob("jobs/*"))
