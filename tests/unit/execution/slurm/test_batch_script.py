from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.execution.slurm import Directives, SlurmSettings
from airflow_provider_repx.execution.slurm.script import Shipment, batch_script
from airflow_provider_repx.targets import Resources

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).with_name("batch.golden")
FOLDER = '/data/it\'s a $base "ü"/repx/slurm/repx-1'


def script(folder: str = FOLDER) -> str:
    settings = SlurmSettings(Path('/data/it\'s a $base "ü"'), umask="0007")
    resources = Resources(64 * 2**30, 8, 43200, "gpu", ("--gres=gpu:2", "-C a100", "--comment='two words'"))
    text = batch_script(settings, Path(folder), "repx-1", Directives.of(resources)).decode()
    return text.replace(Shipment().folder.rpartition("/")[2], "<version>")


def test_the_script_as_a_whole() -> None:
    assert script() == GOLDEN.read_text()


def test_directives_come_before_any_command() -> None:
    lines = script().splitlines()
    assert lines[0] == "#!/bin/sh"
    assert all(line.startswith("#SBATCH --") for line in lines[1:-1])


@pytest.mark.parametrize("name", ["plain", "a b", "q'q", 'q"q', "$HOME", "`id`", "new\nline", "ü", "-x", "a\\b"])
def test_paths_reach_the_shell_as_they_are(name: str, tmp_path: Path) -> None:
    command = script(f"/data/{name}").split("\nexec ", 1)[1]
    said = subprocess.run(["sh", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True).stdout
    assert said.split("\0")[2] == f"/data/{name}"
    assert shlex.split(command)[2] == f"/data/{name}"


@pytest.mark.parametrize(
    "changes",
    [{"base_path": Path("x")}, {"umask": "999"}, {"first_poll": 2.0, "last_poll": 1.0}, {"largest_array": 0}],
)
def test_settings_that_make_no_sense(changes: dict[str, object]) -> None:
    with pytest.raises(TargetError):
        SlurmSettings(**({"base_path": Path("/x")} | changes))  # type: ignore[arg-type]
