"""The wheel as a user gets it: complete, and discovered by Airflow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=240)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=240)
    return target


def in_wheel(installed: Path, *command: str, cwd: Path) -> str:
    """Run Python with the wheel in front of the checkout."""
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": str(installed), "AIRFLOW_HOME": str(cwd)},
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout


def test_everything_that_is_not_python_is_in_it(installed: Path) -> None:
    package = installed / "airflow_provider_repx"
    source = ROOT / "airflow_provider_repx"
    expected = {
        path.relative_to(source) for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    found = {
        path.relative_to(package) for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected == found
    assert {Path("nix/default.nix"), Path("execution/jobs/runner.sh"), Path("py.typed")} <= found


def test_it_is_what_gets_imported(installed: Path, tmp_path: Path) -> None:
    found = in_wheel(installed, "-c", "import airflow_provider_repx as p; print(p.__file__)", cwd=tmp_path)
    assert found.startswith(str(installed))


def test_airflow_lists_the_provider_and_its_command(installed: Path, tmp_path: Path) -> None:
    assert "airflow-provider-repx" in in_wheel(installed, "-m", "airflow", "providers", "list", cwd=tmp_path)
    assert "init" in in_wheel(installed, "-m", "airflow", "repx", "--help", cwd=tmp_path)


def test_a_new_lab_can_be_written_from_it(installed: Path, tmp_path: Path) -> None:
    in_wheel(installed, "-m", "airflow", "repx", "init", str(tmp_path / "lab"), cwd=tmp_path)
    assert (tmp_path / "lab/nix/repx-lib/default.nix").is_file()
