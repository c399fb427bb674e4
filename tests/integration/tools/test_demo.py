"""The demo as a person sees it, on a folder of its own."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.lab import read_lab
from tools.airflow_local import AirflowInstance
from tools.airflow_local.processes import tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

CHECKOUT = Path(__file__).parents[3]


def demo(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.demo", command, "--folder", str(folder)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "demo"
    yield folder
    AirflowInstance(folder / "airflow").stop()


def test_the_demo_from_build_to_plot_again_and_to_its_end(folder: Path) -> None:
    first = demo(folder, "start")
    assert first.returncode == 0, first.stdout + first.stderr
    jobs = len(read_lab(folder / "lab").run("simulation").jobs)
    assert f"simulation (success): {jobs} of {jobs} jobs done" in first.stdout
    plot = re.search(r"^Plot: (.+)$", first.stdout, re.MULTILINE)
    assert plot is not None, first.stdout
    assert Path(plot[1]).stat().st_size > 0
    airflow = AirflowInstance(folder / "airflow")
    assert airflow.url in first.stdout
    assert airflow.settings.password in first.stdout

    # In a shell of its own, as the demo's last words say.
    script = f". {shlex.quote(str(folder / 'env.sh'))}; airflow dags trigger repx_simulation --run-id by-hand"
    triggered = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert triggered.returncode == 0, triggered.stderr
    assert airflow.api.wait_for_run("repx_simulation", "by-hand", timeout=180).state == "success"

    second = demo(folder, "start")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "Airflow is already running" in second.stdout
    assert f"{jobs} of {jobs} jobs of simulation are done already: reused" in second.stdout

    mark = airflow.settings.mark
    assert tree_of([], mark)
    assert demo(folder, "stop").stdout.startswith("Stopped: ")
    assert tree_of([], mark) == frozenset()
    assert demo(folder, "stop").stdout == "Nothing of the demo is running.\n"


def test_stop_without_a_demo(folder: Path) -> None:
    assert demo(folder, "stop").stdout == "Nothing of the demo is running.\n"
    assert not folder.exists()
