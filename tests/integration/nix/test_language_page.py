"""The examples of the language reference are one lab: it builds, and its runs give the results that the page claims."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab_runner import LabRunner
from tests.support.nix import LIBRARY, Nix

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[3] / "docs/reference/language.md"


@pytest.fixture(scope="session")
def flake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's examples as the files that they say they are."""
    folder = tmp_path_factory.mktemp("language")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for language, block in blocks:
        first, content = block.split("\n", 1)
        assert first.startswith("# file: "), f"an example that no test uses: {first}"
        file = folder / first.removeprefix("# file: ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block if language == "nix" else content)
    shutil.copytree(LIBRARY, folder / "nix/repx-lib", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session")
def lab(nix: Nix, flake: Path) -> Path:
    return nix.build(f"path:{flake}#lab").path


def jobs(lab: Path, run: str) -> list[dict[str, Any]]:
    return list(json.loads((lab / f"revision/metadata-{run}.json").read_text())["jobs"].values())


def test_the_lab_has_the_jobs_that_the_page_counts(lab: Path) -> None:
    assert Counter(job["stage"] for job in jobs(lab, "simulation")) == {"prepare": 3, "train": 6, "compare": 6}
    assert Counter(job["stage"] for job in jobs(lab, "analysis")) == {"collect": 1, "count": 1}
    assert json.loads((lab / "revision/metadata-top.json").read_text())["groups"] == {
        "compute": ["simulation"],
        "reports": ["analysis", "review"],
    }


def test_the_runs_work(lab: Path, tmp_path: Path) -> None:
    runner = LabRunner(lab, tmp_path)
    for run in ("simulation", "analysis", "review"):
        runner.run(run)

    [table] = tmp_path.glob("outputs/*-collect-1.1/out/table.txt")
    assert sorted(table.read_text().splitlines()) == ["0.1 2"] * 3 + ["1e-07 2"] * 3
    [total] = tmp_path.glob("outputs/*-count-1.1/out/total.txt")
    assert total.read_text() == "2\n"
    [difference, *_] = tmp_path.glob("outputs/*-compare-1.1/out/difference.txt")
    assert "one word" in difference.read_text()


def test_names_and_resources_are_those_of_each_job(lab: Path) -> None:
    train = {job["params"]["model"]: job for job in jobs(lab, "simulation") if job["stage"] == "train"}

    assert {model: job["name"] for model, job in train.items()} == {
        "small": "train-small-2.0",
        "large": "train-large-2.0",
    }
    assert train["small"]["resource_hints"] == {"mem": "1G", "cpus": 1, "time": "00:10:00"}
    assert train["large"]["resource_hints"] == {"mem": "4G", "cpus": 1, "time": "00:10:00"}


def test_every_example_is_part_of_the_lab(nix: Nix, flake: Path, tmp_path: Path) -> None:
    examples = [file.relative_to(flake) for file in flake.rglob("*.nix") if "repx-lib" not in file.parts]
    assert len(examples) >= 13
    for number, example in enumerate(examples):
        folder = Path(shutil.copytree(flake, tmp_path / str(number)))
        (folder / example).write_text('throw "this example is looked at"')

        finished = nix.command("eval", f"path:{folder}#lab.drvPath")

        assert finished.returncode == 1, example
        assert "this example is looked at" in finished.stderr or example.name == "flake.nix", example


def test_a_run_can_be_built_alone(nix: Nix, flake: Path, lab: Path) -> None:
    alone = nix.build(f"path:{flake}#lab.runs.simulation").path

    assert jobs(alone, "simulation") == jobs(lab, "simulation")
    assert not (alone / "revision/metadata-analysis.json").exists()


def test_every_attribute_that_the_library_knows_is_on_the_page() -> None:
    page = PAGE.read_text()
    for file in ("stage.nix", "run.nix", "lab.nix", "resources.nix"):
        text = (LIBRARY / file).read_text()
        known = re.findall(
            r'"(\w+)"', "".join(re.findall(r"(?:known|Names) = (?:commonNames \+\+ )?\[(.*?)\]", text, re.DOTALL))
        )
        assert known
        assert [name for name in known if f"`{name}" not in page and name != "paramsDependencies"] == []


def test_every_function_of_utils_is_on_the_page(nix: Nix) -> None:
    names = nix.eval("--impure", "--expr", f"builtins.attrNames (import {LIBRARY}).utils")

    assert [name for name in names if f"`utils.{name} " not in PAGE.read_text()] == []
