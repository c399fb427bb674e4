"""The example of five runs that depend on each other: it builds offline, and its runs agree."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from airflow_provider_repx.lab import Lab, read_lab
from tests.support.lab_runner import LabRunner
from tests.support.nix import Nix

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[3] / "examples/five-runs"


def table(lab: Lab, base: Path, run: str) -> dict[str, float]:
    (row,) = [row for row in lab.results(run, base) if "table" in row.outputs]
    with row.outputs["table"].open(newline="") as file:
        return {name: float(error) for name, error in list(csv.reader(file))[1:]}


def test_it_does_what_its_runs_are_called(nix: Nix, tmp_path: Path) -> None:
    lab = read_lab(nix.build("--file", str(EXAMPLE / "default.nix")).path)
    assert set(lab.run_names) == {"preprocess", "train", "evaluate", "visualize", "baseline"}
    assert lab.groups["ml-pipeline"] == ("preprocess", "train", "evaluate")
    runner = LabRunner(lab.path, tmp_path)
    for run in lab.run_names:
        runner.run(run)
    errors = table(lab, tmp_path, "evaluate")
    assert min(errors, key=lambda degree: errors[degree]) == "3", "the points lie on a cubic curve"
    assert errors["3"] < table(lab, tmp_path, "baseline")["mean"]
    (picture,) = lab.results("visualize", tmp_path)
    assert picture.outputs["picture"].read_text().count("<rect") == 3
