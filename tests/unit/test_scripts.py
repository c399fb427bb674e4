from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
# The beginning of a job's script is a template; what is made of it is checked where labs are built.
SCRIPTS = [
    path
    for folder in ("airflow_provider_repx", "tools")
    for path in sorted((ROOT / folder).rglob("*.sh"))
    if path.name != "prologue.sh"
]
SCRIPTS.append(ROOT / ".ci/run")


def test_there_are_scripts() -> None:
    assert {"target.sh", "task.sh", "runner.sh", "remote.sh", "ship_lab.sh", "install.sh"} <= {
        path.name for path in SCRIPTS
    }


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_shellcheck_finds_nothing(script: Path) -> None:
    done = subprocess.run(
        ["shellcheck", "--shell=bash", str(script)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == ""
    assert done.returncode == 0, done.stderr
