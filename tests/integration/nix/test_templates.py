"""The ways in which people get at the library: a copy beside their lab, this repository as a flake, the example lab."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from airflow_provider_repx.lab import read_lab
from tests.support.lab_runner import LabRunner
from tests.support.nix import LIBRARY, Nix

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[3]
WITHOUT_CACHES = shutil.ignore_patterns("__pycache__")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of this repository the flake needs, as a folder without git."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(REPOSITORY / "flake.nix", folder)
    for name in ("airflow_provider_repx/nix", "airflow_provider_repx/templates", "examples"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=WITHOUT_CACHES)
    return folder


def test_a_new_lab_from_the_template_works(nix: Nix, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(REPOSITORY / "airflow_provider_repx/templates/lab", tmp_path / "my lab"))
    shutil.copytree(LIBRARY, folder / "nix/repx-lib", ignore=WITHOUT_CACHES)

    lab = nix.build(".#lab", cwd=folder).path
    part = nix.build(".#lab.runs.hello", cwd=folder).path
    by_file = nix.build("--file", str(folder / "lab.nix")).path

    runner = LabRunner(lab, tmp_path / "base")
    runner.run("hello")
    assert len(runner.done) == 12
    assert len(list((tmp_path / "base").glob("outputs/*/out/average.txt"))) == 6
    assert list(read_lab(part).run("hello").jobs) == list(read_lab(by_file).run("hello").jobs) == runner.done


def test_the_template_without_the_library_says_what_to_do(nix: Nix, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(REPOSITORY / "airflow_provider_repx/templates/lab", tmp_path / "lab"))

    finished = nix.command("eval", f"path:{folder}#lab.drvPath")

    assert "nix/repx-lib is missing" in finished.stderr


def test_the_flake_s_template_works_as_its_text_says(nix: Nix, checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    nix.succeed("flake", "init", "-t", f"path:{checkout}", cwd=folder)
    library = nix.succeed("eval", "--raw", f"path:{checkout}#librarySource").stdout
    shutil.copytree(library, folder / "nix/repx-lib")

    lab = nix.build(f"path:{folder}#lab").path

    assert read_lab(lab).lab_id == lab.name.split("-", 1)[0]


def test_the_flake_offers_the_library_and_the_example(nix: Nix, checkout: Path) -> None:
    names = nix.eval(f"path:{checkout}#lib", "--apply", "builtins.attrNames")
    lab = nix.build(f"path:{checkout}#simulation").path
    part = nix.build(f"path:{checkout}#simulation.runs.simulation").path

    assert {"callRun", "callStage", "hostPkgs", "mkLab", "mkPipe", "utils"} <= set(names)
    assert len(read_lab(lab).run("simulation").jobs) == 39
    assert list(read_lab(part).run("simulation").jobs) == list(read_lab(lab).run("simulation").jobs)
    nix.succeed("flake", "check", f"path:{checkout}")


def test_ids_do_not_depend_on_where_a_lab_is_or_how_it_is_built(nix: Nix, checkout: Path, tmp_path: Path) -> None:
    elsewhere = Path(shutil.copytree(checkout, tmp_path / "elsewhere"))
    built = [
        nix.build("--file", str(checkout / "examples/simulation/default.nix")).path,
        nix.build("--file", str(elsewhere / "examples/simulation/default.nix")).path,
        nix.build(f"path:{elsewhere}#simulation").path,
    ]

    first, *others = ([list(read_lab(path).run(run).jobs) for run in ("simulation", "analysis")] for path in built)
    assert all(other == first for other in others)


def test_the_example_gives_a_table_and_pictures(nix: Nix, tmp_path: Path) -> None:
    lab = nix.build("--file", str(REPOSITORY / "examples/simulation/default.nix")).path
    runner = LabRunner(lab, tmp_path)
    runner.run("simulation")
    runner.run("analysis")

    [table] = tmp_path.glob("outputs/*/out/table.csv")
    header, *rows = (line.split(",") for line in table.read_text().splitlines())
    assert len(rows) == 18
    magnetization = {(row[0], row[2]): float(row[header.index("magnetization")]) for row in rows}
    for seed in ("10", "20", "30"):
        assert magnetization["cold", seed] > 0.95
        assert magnetization["hot", seed] < 0.25
    for name in ("ising.svg", "spins.svg"):
        [picture] = tmp_path.glob(f"outputs/*/out/{name}")
        assert picture.read_text().startswith("<svg ")


def test_our_labs_are_read_field_by_field(nix: Nix, labs: Path) -> None:
    arguments = "{ pkgs = lib.hostPkgs; repx-lib = lib; }"
    expression = f"let lib = import {LIBRARY}; in import {labs}/patterns/resources/lab.nix {arguments}"
    lab = read_lab(nix.build("--impure", "--expr", expression).path)

    jobs = {job.stage: job for job in lab.run("parallel").jobs.values()}
    process = jobs["process"]
    assert process.stage_type == "scatter-gather"
    assert process.pipeline == "pipeline"
    assert process.axes == {}
    assert list(process.executables) == ["scatter", "step-compute", "step-summarize", "gather"]
    assert process.executables["step-summarize"].deps == ("compute",)
    assert [mapping.type for mapping in process.executables["scatter"].inputs] == ["intra-pipeline"]
    assert process.resource_hints.partition == "io"
    assert jobs["report"].producers == tuple(job for job, one in lab.run("parallel").jobs.items() if one is process)


def test_host_packages_name_what_labs_use(nix: Nix) -> None:
    names = nix.eval("--impure", "--expr", f"builtins.attrNames (import {LIBRARY}).hostPkgs")

    assert {"bash", "command", "coreutils", "cudatoolkit", "forSystem", "gawk", "jq", "python3"} <= set(names)


def test_another_kind_of_machine_can_be_named(nix: Nix) -> None:
    expression = f'((import {LIBRARY}).hostPkgs.forSystem "aarch64-linux").python3.system'

    assert nix.eval("--impure", "--expr", expression) == "aarch64-linux"
