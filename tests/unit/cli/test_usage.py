"""What a person gets who asks for help, or asks for what is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand
from airflow.cli.cli_parser import get_parser

from airflow_provider_repx.cli.definition import get_cli_commands
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.unit.cli.calling import Repx

pytestmark = pytest.mark.unit


def _commands(found: CLICommand, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], CLICommand]]:
    yield (*path, found.name), found
    if isinstance(found, GroupCommand):
        for child in found.subcommands:
            yield from _commands(child, (*path, found.name))


COMMANDS = dict(pair for group in get_cli_commands() for pair in _commands(group))
ACTIONS = {path: found for path, found in COMMANDS.items() if isinstance(found, ActionCommand)}


@pytest.mark.parametrize("path", ACTIONS, ids=" ".join)
def test_help_can_be_understood_alone(path: tuple[str, ...], repx: Repx) -> None:
    command = ACTIONS[path]
    call = repx(*path[1:], "--help")
    assert call.code == 0
    assert command.help
    assert command.description is not None
    assert command.description.rstrip().endswith(".")
    assert command.epilog is not None
    assert f"airflow {' '.join(path)}" in command.epilog
    shown = " ".join(call.out.split())
    assert " ".join(command.epilog.split()) in shown
    for argument in command.args:
        assert isinstance(argument, Arg)
        assert str(argument.kwargs.get("help", "")), f"{argument.flags} has no help"
        assert argument.flags[-1] in shown or argument.kwargs["metavar"] in shown


@pytest.mark.parametrize("path", ACTIONS, ids=" ".join)
def test_the_examples_are_commands_that_exist(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    epilog = ACTIONS[path].epilog or ""
    for line in epilog.splitlines()[1:]:
        words = line.split(">")[0].replace("'", "").split()
        assert words[:1] == ["airflow"]
        get_parser().parse_args(words[1:])


@pytest.mark.parametrize(
    "path", [path for path, found in ACTIONS.items() if path[1] not in ("init", "debug-run")], ids=" ".join
)
def test_every_command_has_output_for_programs(path: tuple[str, ...]) -> None:
    (output,) = (argument for argument in ACTIONS[path].args if "--output" in argument.flags)
    assert "json" in output.kwargs["choices"]


@pytest.mark.parametrize("path", ACTIONS, ids=" ".join)
def test_the_reference_page_knows_every_command(path: tuple[str, ...]) -> None:
    page = (Path(__file__).parents[3] / "docs/reference/commands.md").read_text(encoding="utf-8")
    (heading,) = (line for line in page.splitlines() if line.startswith("###") and f"`{' '.join(path[1:])}" in line)
    options = [argument.flags for argument in ACTIONS[path].args if isinstance(argument, Arg)]
    for flags in options:
        if flags[-1] not in ("--lab", "--base-path", "--output") and flags[0].startswith("-"):
            assert any(flag in heading for flag in flags), f"{flags} is not in: {heading}"


@pytest.mark.parametrize("path", [path for path in COMMANDS if path not in ACTIONS], ids=" ".join)
def test_a_group_without_a_command_is_a_usage_error(path: tuple[str, ...], repx: Repx) -> None:
    assert repx(*path[1:]).code == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("results", "simulatoin"), "did you mean 'simulation'"),
        (("list", "jobs", "simulatoin"), "is no run, and begins no job's id"),
        (("list", "jobs", ""), "is no run, and begins no job's id"),
        (("list", "jobs", "@phisics"), "did you mean 'physics'"),
        (("show", "job", "zzzz"), "no job's id begins with 'zzzz'"),
        (("log", "zzzz"), "no job's id begins with 'zzzz'"),
        (("debug-run", "zzzz"), "no job's id begins with 'zzzz'"),
        (("trace-params", "zzzz"), "is no run, and begins no job's id"),
        (("run", "zzzz"), "no run called 'zzzz'"),
        (("run", "@phisics"), "did you mean 'physics'"),
        (("status", "simulatoin"), "did you mean 'simulation'"),
        (("cancel", "simulatoin"), "did you mean 'simulation'"),
        (("clear", "simulatoin"), "did you mean 'simulation'"),
        (("show", "job", ""), "no job's id begins with ''"),
        (("show", "output", job_id("prepare-1.1"), "../repx/SUCCESS"), "leaves the job's folder"),
        (("show", "output", job_id("prepare-1.1"), "/etc/passwd"), "leaves the job's folder"),
        (("show", "output", job_id("prepare-1.1"), "nothing"), "data.txt, deep/raw"),
        (("log", job_id("prepare-1.1"), "--stdout", "--stderr"), "give one of them"),
        (("log", job_id("prepare-1.1"), "-f", "-o", "json"), "--follow"),
        (("plan", "simulation", "--jobs", "nothing"), "no job matches 'nothing'"),
        (("run",), "name what to run: runs (simulation, analysis, notes)"),
        (("run", "simulatoin"), "did you mean 'simulation'"),
        (("status", "simulation", "--follow", "-o", "json"), "--follow"),
        (("list", "runs", "--lab", "isnig"), "Known labs: ising"),
    ],
)
def test_what_is_not_there_is_one_clear_line(
    lab_folder: Path, repx: Repx, arguments: tuple[str, ...], text: str
) -> None:
    call = repx(*arguments)
    assert (call.code, call.out) == (2, "")
    assert text in call.error


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("list", "runs", "--lab", "./none"), "there is no lab"),
        (("show", "output", job_id("measure-1.1", "2")), "there are no results of this job yet; it is pending"),
        (("run", "simulation"), "airflow db migrate"),
        (("status", "simulation"), "airflow db migrate"),
        (("cancel", "simulation"), "airflow db migrate"),
        (("clear", "simulation"), "airflow db migrate"),
    ],
)
def test_what_does_not_work_is_one_clear_line(
    lab_folder: Path, repx: Repx, arguments: tuple[str, ...], text: str
) -> None:
    call = repx(*arguments)
    assert call.code == 1
    assert text in call.error


def test_the_beginning_of_several_ids_lists_them(tmp_path: Path, repx: Repx) -> None:
    ids = [f"abc{number}{job_id('x')[4:]}" for number in range(10)]
    write_lab(tmp_path / "lab", [RunSpec("one", [JobSpec(name) for name in ids])])
    call = repx("show", "job", "abc")
    assert call.code == 2
    assert all(name in call.error for name in ids)
    assert repx("show", "job", "abc3").code == 0


def test_a_job_of_several_runs_is_no_ambiguity(lab_folder: Path, repx: Repx) -> None:
    shown = json.loads(repx("show", "job", job_id("prepare-1.1")[:8], "-o", "json").out)
    assert shown["runs"] == ["simulation", "notes"]


def test_labs_are_chosen_by_name_or_path(
    lab_folder: Path, repx: Repx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = write_lab(tmp_path / "other lab", [RunSpec("alone", [JobSpec(job_id("x"))])])
    monkeypatch.chdir(tmp_path)
    entries = [
        {"name": "ising", "lab": str(lab_folder / "lab")},
        {"name": "other", "lab": str(other), "dag_id_prefix": "o_"},
        {"name": "wrong", "lab": "/nowhere", "retries": -1},
    ]
    monkeypatch.setenv("AIRFLOW__REPX__LABS", json.dumps(entries))
    assert "say which with --lab. Known labs: ising, other, wrong" in repx("list", "runs").error
    for lab in ("other", str(other), "other lab", "./other lab"):
        (run,) = json.loads(repx("list", "runs", "--lab", lab, "-o", "json").out)
        # Also by its path it is the configured lab, with its settings.
        assert run["dag_id"] == "o_alone"
    wrong = repx("list", "runs", "--lab", "wrong")
    assert (wrong.code, "retries" in wrong.error) == (1, True)


def test_without_any_lab_it_says_how_to_give_one(repx: Repx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__REPX__LAB")
    call = repx("list", "runs")
    assert call.code == 2
    assert "AIRFLOW__REPX__LAB" in call.error


def test_a_bare_airflow_is_told_what_to_set(repx: Repx, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAB", "NAME", "BASE_PATH", "CPUS", "MEMORY"):
        monkeypatch.delenv(f"AIRFLOW__REPX__{name}")
    call = repx("doctor")
    (labs,) = (line for line in call.out.splitlines() if line.split()[1] == "labs")
    assert "AIRFLOW__REPX__LAB" in labs
    assert "AIRFLOW__REPX__BASE_PATH" in labs


def test_secrets_of_connections_are_never_shown(lab_folder: Path, repx: Repx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__REPX__BASE_PATH")
    monkeypatch.setenv("AIRFLOW__REPX__SLURM_CONN_ID", "cluster")
    slurm = {"base_path": "/base", "ssh_conn_id": "login"}
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps({"conn_type": "slurm", "extra": slurm}))
    extra = {"private_key": "PRIVATE-hush-hush-1", "private_key_passphrase": "hush-hush-2", "conn_timeout": 5}
    login = {"conn_type": "ssh", "host": "127.0.0.1", "port": 1, "password": "hush-hush-3"}
    for given in (login, {**login, "extra": extra}, {**login, "extra": {"conn_timeout": "hush-hush-4"}}):
        monkeypatch.setenv("AIRFLOW_CONN_LOGIN", json.dumps(given))
        for arguments in (
            ("list", "jobs"),
            ("doctor",),
            ("log", job_id("prepare-1.1")),
            ("debug-run", job_id("prepare-1.1")),
        ):
            call = repx(*arguments)
            assert call.code == 1
            assert "hush" not in call.out + call.err, call


def test_runs_are_listed_where_nobody_said_where_jobs_run(
    lab_folder: Path, repx: Repx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__REPX__BASE_PATH")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lab_folder))
    call = repx("list", "runs", "-o", "json")
    assert [run["succeeded"] for run in json.loads(call.out)] == [None, None, None]
    assert "AIRFLOW__REPX__BASE_PATH" in call.err
