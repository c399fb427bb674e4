"""The job runner by itself, as any scheduler starts it."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_repx.execution.jobs import ship_runner
from airflow_provider_repx.execution.store import OutputStore
from tests.integration.execution.bench import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


class Unit:
    """One unit in a folder of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path / "unit 'ü\" $x"
        self.path.mkdir()
        self.repx = self.path / "repx"
        self.runner = ship_runner(OutputStore(path))
        self.script = self.path / "script"
        self.claim = self.path / "claim"

    def command(self, script: str, **changes: str) -> list[str]:
        self.script.write_text(f"#!/bin/bash\n{script}\n")
        self.script.chmod(0o755)
        arguments = {
            "out": str(self.path / "out"),
            "repx": str(self.repx),
            "inputs": "in.json",
            "parameters": "par.json",
            "executable": str(self.script),
            "token": "t1",
            "execution_type": "native",
            "grace": "1",
            "claim": str(self.claim),
        } | changes
        return [str(self.runner), *arguments.values()]

    def run(self, script: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(script, **changes), capture_output=True, text=True, check=False, timeout=60)

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.repx / "attempt.json").read_text())
        return record

    @property
    def markers(self) -> set[str]:
        return {path.name for path in self.repx.iterdir()} & {"SUCCESS", "FAIL"}


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    return Unit(tmp_path)


def test_a_script_gets_its_three_arguments_and_is_recorded(unit: Unit) -> None:
    unit.claim.write_text('{"who":"me"}')
    done = unit.run('printf "%s|" "$@"; for ((i = 0; i < 300000; i++)); do :; done')
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (unit.repx / "stdout.log").read_text() == f"{unit.path}/out|in.json|par.json|"
    record = unit.record
    assert (record["token"], record["outcome"], record["exit_code"]) == ("t1", "succeeded", 0)
    assert record["claim"] == {"who": "me"}
    assert 0 < record["cpu_seconds"] < 60
    assert record["ended"] > record["started"] > 1e9
    assert unit.markers == {"SUCCESS"}


def test_the_exit_code_is_the_scripts_and_the_offset_that_of_this_attempt(unit: Unit) -> None:
    assert unit.run("echo first >&2; exit 9").returncode == 9
    assert unit.run("echo second >&2; exit 127").returncode == 127
    assert unit.record["stderr_offset"] == len("first\n")
    assert unit.record["exit_code"] == 127
    assert unit.record["claim"] is None
    assert unit.markers == {"FAIL"}


def test_a_script_that_is_not_there_is_a_failure(unit: Unit) -> None:
    assert unit.run("exit 0", executable="/does/not/exist").returncode == 127
    assert "No such file" in (unit.repx / "stderr.log").read_text()
    assert unit.markers == {"FAIL"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [({"execution_type": "magic"}, "execution type 'magic'"), ({"out": "/proc/nothing"}, "cannot create")],
)
def test_what_cannot_begin_says_why_and_leaves_no_success(unit: Unit, changes: dict[str, str], text: str) -> None:
    unit.run("exit 0")
    done = unit.run("exit 0", **changes)
    assert done.returncode == 70
    assert text in done.stderr


def test_wrong_usage_says_so(unit: Unit) -> None:
    done = subprocess.run([str(unit.runner), "x"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (70, "job-runner: needs 9 arguments, got 1\n")


@pytest.mark.parametrize(
    "script", ["sleep 600", "trap '' TERM; sleep 600 & wait; wait", "trap 'exit 0' TERM; sleep 600 & wait"]
)
@pytest.mark.parametrize(
    ("number", "outcome", "code"), [(signal.SIGTERM, "cancelled", 143), (signal.SIGALRM, "failed", 142)]
)
def test_a_signal_ends_the_script_and_is_no_success(
    unit: Unit, script: str, number: signal.Signals, outcome: str, code: int
) -> None:
    process = subprocess.Popen(unit.command(f"echo begun; {script}"), start_new_session=True)
    eventually(lambda: (unit.repx / "stdout.log").exists() and (unit.repx / "stdout.log").read_text())
    process.send_signal(number)
    assert process.wait(20) == code
    assert unit.record["outcome"] == outcome
    assert unit.markers == ({"FAIL"} if outcome == "failed" else set())


def test_killing_the_runner_at_any_moment_never_shows_success_for_a_failure(unit: Unit) -> None:
    command = unit.command("exit 3")
    for delay in range(40):
        process = subprocess.Popen(command, start_new_session=True)
        try:
            process.wait(delay / 1000)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert not (unit.repx / "SUCCESS").exists()


def test_an_old_success_goes_before_the_script_starts(unit: Unit) -> None:
    unit.run("exit 0")
    assert unit.markers == {"SUCCESS"}
    unit.run('ls "$1/../repx"')
    assert "SUCCESS" not in (unit.repx / "stdout.log").read_text()
    assert "attempt.json" in (unit.repx / "stdout.log").read_text()
