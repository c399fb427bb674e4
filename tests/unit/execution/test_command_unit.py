"""A user's command, started by the real script with the files that were prepared for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.execution.store import Claimant
from airflow_provider_repx.execution.units.command import (
    PreparedCommand,
    command_runner,
    command_runner_path,
    prepare_command,
    prepare_script,
)

pytestmark = pytest.mark.unit

CLAIMANT = Claimant(dag_id="dag", run_id="manual__2026-11-23T02:00:00+00:00", task_id="task", map_index=3, try_number=2)
ARGUMENT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def start(prepared: PreparedCommand) -> subprocess.CompletedProcess[bytes]:
    for path, content in prepared.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    prepared.paths.out.mkdir(parents=True, exist_ok=True)
    prepared.executable.parent.mkdir(parents=True, exist_ok=True)
    prepared.executable.write_bytes(command_runner())
    command = ["bash", prepared.executable, prepared.paths.out, prepared.inputs, prepared.parameters]
    return subprocess.run(list(map(str, command)), capture_output=True, check=False, timeout=30)


@given(arguments=st.lists(ARGUMENT, max_size=5), value=ARGUMENT)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_argument_and_any_variable_arrives_as_it_is(arguments: list[str], value: str, tmp_path: Path) -> None:
    command = ["bash", "-c", 'printf "%s\\0" "$VALUE" "$@"', "-", *arguments]
    done = start(prepare_command(command, {"VALUE": value}, tmp_path, CLAIMANT))
    assert done.stdout.decode().split("\0")[:-1] == [value, *arguments], done.stderr


def test_a_command_runs_in_its_own_folder_and_its_exit_code_is_its_own(tmp_path: Path) -> None:
    prepared = prepare_command(["bash", "-c", "pwd; exit 3"], {}, tmp_path, CLAIMANT)
    done = start(prepared)
    assert (done.returncode, done.stdout.decode().strip()) == (3, str(prepared.paths.out))


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        ("echo $BASH_VERSION | wc -l", "1"),
        ("#!/bin/sh\necho plain", "plain"),
        ("#!/usr/bin/env python3\nprint(6 * 7)", "42"),
        ("#! /usr/bin/env  -S python3 -u\nprint('two words')", "two words"),
    ],
)
def test_a_scripts_first_line_names_its_interpreter(script: str, printed: str, tmp_path: Path) -> None:
    assert start(prepare_script(script, {}, tmp_path, CLAIMANT)).stdout.decode().strip() == printed


def test_each_try_has_a_folder_of_its_own_inside_the_base_path(tmp_path: Path) -> None:
    root = prepare_command(["true"], {}, tmp_path, CLAIMANT).paths.root
    assert root == tmp_path / "commands/dag/manual__2026-11-23T02:00:00+00:00/task[3]/try-2"


@pytest.mark.parametrize("name", ["../../etc", "a/b", "..", ".", "x" * 240, "ünï", "a\nb"])
def test_no_name_leads_out_of_the_base_path(name: str, tmp_path: Path) -> None:
    claimant = Claimant(dag_id="dag", run_id=name, task_id="task")
    root = prepare_command(["true"], {}, tmp_path, claimant).paths.root
    assert root.parts[: len(tmp_path.parts)] == tmp_path.parts
    assert len(root.relative_to(tmp_path).parts) == 5
    assert not {"..", "."} & set(root.parts)
    root.mkdir(parents=True)


@pytest.mark.parametrize(
    ("command", "environment", "told"),
    [
        ([], {}, "command: is empty"),
        ([""], {}, "command: is empty"),
        (["a\0b"], {}, "NUL"),
        (["true"], {"A-B": "1"}, "environment: 'A-B'"),
        (["true"], {"A": "x\0"}, "NUL"),
    ],
)
def test_what_no_process_can_be_given_is_refused(
    command: list[str], environment: dict[str, str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(TargetError, match=told):
        prepare_command(command, environment, tmp_path, CLAIMANT)


def test_the_script_is_kept_by_its_content(tmp_path: Path) -> None:
    assert command_runner_path(tmp_path).parent.parent == tmp_path / "repx" / "runner"
