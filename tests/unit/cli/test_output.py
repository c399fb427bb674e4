"""What commands print, compared with golden files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_repx.targets import Target
from tests.support.labs import job_id
from tests.unit.cli.calling import Repx, check_golden

pytestmark = pytest.mark.unit

PREPARE = job_id("prepare-1.1")
FAILED = job_id("measure-1.1", "1")
PENDING = job_id("measure-1.1", "2")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("list-runs", ("list", "runs")),
        ("list-runs-json", ("list", "runs", "-o", "json")),
        ("list-groups", ("list", "groups")),
        ("list-groups-json", ("list", "groups", "-o", "json")),
        ("list-deps", ("list", "deps")),
        ("list-deps-json", ("list", "deps", "-o", "json")),
        ("list-jobs", ("list", "jobs")),
        ("list-jobs-json", ("list", "jobs", "simulation", "-o", "json")),
        ("list-jobs-of-run-with-params", ("list", "jobs", "simulation", "-p", "seed", "-p", "exact")),
        ("list-jobs-by-stage", ("list", "jobs", "@physics", "-g")),
        ("list-jobs-paths", ("list", "jobs", "sim", "-s", "easur", "--output-paths")),
        ("list-jobs-status", ("list", "jobs", "--status", "failed", "--status", "succeeded")),
        ("list-jobs-prefix", ("list", "jobs", PREPARE[:6])),
        ("show-job", ("show", "job", FAILED)),
        ("show-job-json", ("show", "job", PENDING, "-o", "json")),
        ("show-output", ("show", "output", PREPARE)),
        ("show-output-json", ("show", "output", PREPARE, "deep", "-o", "json")),
        ("show-output-file", ("show", "output", PREPARE, "data.txt")),
        ("show-output-file-json", ("show", "output", PREPARE, "data.txt", "-o", "json")),
        ("show-output-bytes-json", ("show", "output", PREPARE, "deep/raw", "-o", "json")),
        ("log", ("log", PREPARE, "-n", "3")),
        ("log-json", ("log", PREPARE, "-n", "2", "-o", "json")),
        ("trace-params", ("trace-params", PENDING[:10])),
        ("trace-params-table", ("trace-params", "simulation", "-o", "table")),
        ("results", ("results", "simulation")),
        ("results-csv", ("results", "simulation", "-o", "csv")),
        ("results-json", ("results", "simulation", "-o", "json")),
        ("plan", ("plan", "simulation")),
        ("plan-json", ("plan", "simulation", "--jobs", PENDING, "-o", "json")),
        ("plan-force", ("plan", "simulation", "--force")),
        ("plan-of-dependent-run", ("plan", "analysis")),
    ],
)
def test_output(lab_folder: Path, repx: Repx, name: str, arguments: tuple[str, ...]) -> None:
    call = repx(*arguments)
    assert call.code == 0, call.err
    if name.endswith("json"):
        json.loads(call.out)
    check_golden(call.out, name, lab_folder)


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "output", PREPARE),
        ("show", "output", PREPARE, "deep"),
        ("show", "output", PREPARE, "data.txt", "-o", "json"),
        ("show", "output", PREPARE, "deep/raw", "-o", "json"),
        ("show", "output", PREPARE, "nothing"),
        ("show", "output", PENDING),
        ("log", PREPARE, "-n", "3"),
        ("log", PREPARE, "-n", "3", "--stderr"),
    ],
    ids=" ".join,
)
def test_files_of_another_machine_are_shown_as_those_of_this_one(
    lab_folder: Path, repx: Repx, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    here = repx(*arguments)
    # The commands that run on a target's machine, on a target that is this machine.
    monkeypatch.setattr(Target, "is_remote", True)
    assert repx(*arguments) == here


def test_a_plan_for_slurm_tells_the_arrays(
    lab_folder: Path, repx: Repx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[targets.local]\nbase_path = "{tmp_path}"\ndefault_scheduler = "slurm"\n')
    monkeypatch.setenv("AIRFLOW__REPX__CONFIG_FILE", str(config))
    arrays = json.loads(repx("plan", "simulation", "-o", "json").out)["arrays"]
    assert [(array["jobs"], array["cpus"], array["memory"], array["time"], array["partition"]) for array in arrays] == [
        (1, None, None, None, None),
        (1, 2, "1G", "00:10:00", "long"),
    ]
    assert "On Slurm, in job arrays" in repx("plan", "simulation").out


def test_a_store_that_cannot_be_asked_leaves_what_the_lab_tells(
    lab_folder: Path, repx: Repx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[targets.local]\nbase_path = "{tmp_path}"\n'
        # Nobody listens on that port.
        '[targets.cluster]\nbase_path = "/nowhere"\naddress = "nobody@127.0.0.1:1"\ndefault_scheduler = "slurm"\n'
    )
    monkeypatch.setenv("AIRFLOW__REPX__CONFIG_FILE", str(config))
    monkeypatch.setenv("AIRFLOW__REPX__TARGET", "cluster")
    monkeypatch.delenv("AIRFLOW__REPX__BASE_PATH")
    runs = repx("list", "runs", "-o", "json")
    assert [run["succeeded"] for run in json.loads(runs.out)] == [None, None, None]
    assert "cannot be reached" in runs.err
    assert json.loads(repx("plan", "simulation", "-o", "json").out)["reused"] is None
    jobs = repx("list", "jobs")
    assert (jobs.code, "cannot be reached" in jobs.error) == (1, True)
    log = repx("log", PREPARE)
    assert (log.code, "cannot be reached" in log.error) == (1, True)


def test_no_such_jobs_are_told_to_a_person_alone(lab_folder: Path, repx: Repx) -> None:
    wanted = ("list", "jobs", "simulation", "--status", "running", "--stage", "meas")
    call = repx(*wanted)
    assert (call.code, call.out.split()) == (0, ["job", "stage", "status"])
    assert call.err == (
        "There are no such jobs: of simulation, of a stage with 'meas' in its name, with status running.\n"
    )
    call = repx(*wanted, "-o", "json")
    assert (call.code, call.out, call.err) == (0, "[]\n", "")
    assert "no such jobs" not in repx("list", "jobs").err


def test_the_end_of_a_long_log_is_read_from_its_end(lab_folder: Path, repx: Repx) -> None:
    log = lab_folder / "base" / "outputs" / PREPARE / "repx" / "stderr.log"
    lines = [f"{number} " + "ä" * 1000 for number in range(200)]
    log.write_text("\n".join(lines))
    assert repx("log", PREPARE, "--stderr", "-n", "150").out.splitlines() == lines[-150:]
    assert repx("log", PREPARE, "--stderr", "-n", "1000").out.splitlines() == lines


def test_following_the_log_of_a_job_that_has_ended(lab_folder: Path, repx: Repx) -> None:
    call = repx("log", PREPARE, "-n", "1", "--follow")
    assert (call.code, call.out) == (0, "line 100\n")
    assert "has succeeded" in call.err


def test_debug_run_gives_a_script_what_it_would_get(lab_folder: Path, repx: Repx, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch 'n'"
    line = 'echo "${inputs[start]}|${parameters[temperature]}|${parameters[exact]}|$PWD" > told; run-job'
    call = repx("debug-run", PENDING, "--directory", str(scratch), "-c", line)
    assert call.code == 0, call.err
    assert (scratch / "out" / "told").read_text().split("|") == [
        str(lab_folder / "base" / "outputs" / PREPARE / "out" / "data.txt"),
        "1.0",
        "false",
        f"{scratch / 'out'}\n",
    ]
    assert not (lab_folder / "base" / "outputs" / PENDING).exists()
    assert repx("debug-run", PENDING, "-c", "exit 7").code == 7
    assert "not empty" in repx("debug-run", PENDING, "--directory", str(scratch), "-c", "true").error


def test_debug_run_needs_what_the_job_reads(lab_folder: Path, repx: Repx) -> None:
    (lab_folder / "base" / "outputs" / PREPARE / "repx" / "SUCCESS").unlink()
    call = repx("debug-run", PENDING, "-c", "true")
    assert call.code == 1
    assert PREPARE in call.error
