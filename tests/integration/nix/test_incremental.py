"""What a change to a lab rebuilds, counted, and which jobs it leaves as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.nix import LIBRARY, Build, Nix

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[3] / "examples/simulation"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example lab as a copy that may be changed."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "simulation"))


def build(nix: Nix, folder: Path, **texts: str) -> Build:
    arguments = [word for name, value in texts.items() for word in ("--argstr", name, value)]
    return nix.build("--file", str(folder / "default.nix"), "--arg", "repx-lib", f"import {LIBRARY}", *arguments)


def ids(built: Build, run: str = "simulation") -> dict[str, list[str]]:
    record: dict[str, Any] = json.loads((built.path / f"revision/metadata-{run}.json").read_text())
    found: dict[str, list[str]] = {}
    for job, entry in record["jobs"].items():
        found.setdefault(entry["stage"], []).append(job)
    return found


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_nothing_is_rebuilt_without_a_change(nix: Nix, example: Path) -> None:
    build(nix, example)

    assert build(nix, example).built == ()


def test_one_changed_stage_rebuilds_its_scripts_and_the_lab(nix: Nix, example: Path) -> None:
    before = build(nix, example)
    edit(example / "programs/measure.py", "fmean(absolute)", "max(absolute)")

    after = build(nix, example)

    assert after.built == ("repx-scripts-measure", "repx-lab")
    assert ids(after)["prepare"] == ids(before)["prepare"]
    assert ids(after)["simulate"] == ids(before)["simulate"]
    assert not set(ids(after)["measure"]) & set(ids(before)["measure"])
    # The run that has a hard dependency on this one starts anew.
    assert not set(ids(after, "analysis")["gather"]) & set(ids(before, "analysis")["gather"])


def test_one_more_value_leaves_the_other_jobs_alone(nix: Nix, example: Path) -> None:
    before = build(nix, example)
    edit(example / "runs/simulation.nix", "utils.range 1 3", "utils.range 1 4")

    after = build(nix, example)

    # Scripts that hold the seed are made again, the others are not.
    assert sorted(after.built) == ["repx-lab", "repx-scripts-prepare", "repx-scripts-simulate"]
    for stage, count in {"prepare": 1, "simulate": 6, "measure": 6}.items():
        assert set(ids(before)[stage]) < set(ids(after)[stage])
        assert len(ids(after)[stage]) - len(ids(before)[stage]) == count


def test_one_changed_parameter_that_bash_reads_rebuilds_only_the_lab(nix: Nix, labs: Path) -> None:
    def lab(values: str) -> Build:
        definition = 'producer // { parameters.v = 0; run = { parameters, ... }: "echo ${parameters.v}"; }'
        return nix.build(
            "--impure", "--expr", f"with import {labs}/tools.nix; labOfStage {{ v = {values}; }} ({definition})"
        )

    before = lab("[ 1 2 ]")
    after = lab("[ 1 3 ]")

    assert before.built[-2:] == ("repx-scripts-only", "repx-lab")
    assert after.built == ("repx-lab",)


def test_changed_resources_rebuild_no_scripts(nix: Nix, example: Path) -> None:
    before = build(nix, example)
    stage = ["--file", str(example / "default.nix"), "--arg", "repx-lib", f"import {LIBRARY}"]
    attribute = "runs.simulation.stages.ising.simulate.drvPath"
    derivation = nix.eval(*stage, attribute)
    edit(example / "stages/simulate.nix", '"256M"', '"512M"')

    after = build(nix, example)

    assert after.built == ("repx-lab",)
    assert ids(after) == ids(before)
    assert nix.eval(*stage, attribute) == derivation


def test_a_new_commit_rebuilds_only_the_lab(nix: Nix, example: Path) -> None:
    before = build(nix, example)

    after = build(nix, example, gitHash="fedcba")

    assert after.built == ("repx-lab",)
    assert ids(after) == ids(before)


def test_one_new_directory_is_wrapped_alone(nix: Nix, labs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(labs / "patterns/scanning", tmp_path / "scanning"))
    arguments = ("--file", str(folder / "lab.nix"), "--arg", "repx-lib", f"import {LIBRARY}")
    arguments += ("--arg", "pkgs", f"(import {LIBRARY}).hostPkgs")
    before = nix.build(*arguments)
    (folder / "submissions/carol").mkdir()
    (folder / "submissions/carol/answer.txt").write_text("7\n")

    after = nix.build(*arguments)

    assert after.built == ("submission-wrapper", "repx-lab")
    assert set(ids(before, "grading")["grade"]) < set(ids(after, "grading")["grade"])
    assert len(ids(after, "grading")["grade"]) == 3


def test_one_changed_directory_changes_one_job(nix: Nix, labs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(labs / "patterns/scanning", tmp_path / "scanning"))
    arguments = ("--file", str(folder / "lab.nix"), "--arg", "repx-lib", f"import {LIBRARY}")
    arguments += ("--arg", "pkgs", f"(import {LIBRARY}).hostPkgs")
    before = set(ids(nix.build(*arguments), "grading")["grade"])
    (folder / "submissions/bob/answer.txt").write_text("3\n")

    after = nix.build(*arguments)

    assert after.built == ("submission-wrapper", "repx-lab")
    assert len(before & set(ids(after, "grading")["grade"])) == 1
