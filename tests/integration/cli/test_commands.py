"""`airflow repx …` as a user calls it."""

from __future__ import annotations

import os
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


def test_errors_are_one_clear_line(tmp_path: Path) -> None:
    lab = write_lab(tmp_path / "lab", [RunSpec("simulation", [JobSpec(job_id("prepare-1.1"))])])
    unknown = airflow("results", "simulatoin", "--lab", str(lab), "--base-path", str(tmp_path), home=tmp_path)
    assert unknown.returncode == 2
    assert unknown.stdout == ""
    (line,) = unknown.stderr.splitlines()
    assert line.startswith("[ERROR] ")
    assert "did you mean 'simulation'" in line


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    jobs = [JobSpec(job_id("prepare-1.1", str(number))) for number in range(2000)]
    lab = write_lab(tmp_path / "lab", [RunSpec("simulation", jobs)])
    command = [sys.executable, "-m", "airflow", "repx", "list", "jobs", "--lab", str(lab), "--base-path", str(tmp_path)]
    with subprocess.Popen(
        command, env={**os.environ, "AIRFLOW_HOME": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"job ")
        process.stdout.close()
        assert b"Error" not in process.stderr.read()
        assert process.wait(timeout=60) == 0


def test_init_writes_a_lab(tmp_path: Path) -> None:
    target = tmp_path / "my lab"
    done = airflow("init", str(target), home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (target / "flake.nix").is_file()
    assert (target / "nix/repx-lib/default.nix").is_file()
    assert not list(target.rglob("__pycache__"))
    compile((target / "repx_my_lab.py").read_text(), "dag", "exec")
