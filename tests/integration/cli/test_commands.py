"""`airflow repx …` as a user calls it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.integration


def airflow(*arguments: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airflow", "repx", *arguments],
        env={**os.environ, "AIRFLOW_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    first = JobSpec(job_id("prepare-1.1"), params={"seed": 7, "text": "[red]plain[/red]"})
    second = JobSpec(job_id("measure-1.1"), reads={"start": (first.id, "data")})
    return write_lab(tmp_path / "lab", [RunSpec("simulation", [first, second])])


def test_results_as_table_csv_and_json(lab: Path, tmp_path: Path) -> None:
    def results(output: str) -> str:
        done = airflow(
            "results", "simulation", "--lab", str(lab), "--base-path", str(tmp_path), "--output", output, home=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    table = results("table")
    assert re.search(r"^job +stage +status +seed +text +outputs *$", table, re.MULTILINE)
    assert "[red]plain[/red]" in table
    assert len(results("csv").splitlines()) == 3
    rows = json.loads(results("json"))
    assert [row["parameters"]["seed"] for row in rows] == [7, 7]
    assert {row["status"] for row in rows} == {"pending"}


def test_errors_are_one_clear_line(lab: Path, tmp_path: Path) -> None:
    unknown = airflow("results", "simulatoin", "--lab", str(lab), "--base-path", str(tmp_path), home=tmp_path)
    assert unknown.returncode == 1
    assert "[ERROR]" in unknown.stderr
    assert "simulation" in unknown.stderr
    assert "Traceback" not in unknown.stderr
    assert airflow("results", home=tmp_path).returncode == 2


def test_init_writes_a_lab_once(tmp_path: Path) -> None:
    target = tmp_path / "my lab"
    done = airflow("init", str(target), home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (target / "flake.nix").is_file()
    assert (target / "nix/repx-lib/default.nix").is_file()
    assert not list(target.rglob("__pycache__"))
    compile((target / "repx_my_lab.py").read_text(), "dag", "exec")
    again = airflow("init", str(target), home=tmp_path)
    assert again.returncode == 1
    assert "not empty" in again.stderr
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".repx-init")]
