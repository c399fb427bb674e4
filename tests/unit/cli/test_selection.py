"""What a command line asks for: runs, jobs, and in which order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_repx.cli.clear import downstream_runs
from airflow_provider_repx.cli.find import match_jobs, select
from airflow_provider_repx.cli.progress import StageProgress, Watch
from airflow_provider_repx.cli.run import Wish, wishes
from airflow_provider_repx.errors import CommandLineError, LabLookupError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.lab import Lab, read_lab
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.unit

RAW = job_id("prepare-1.1")
FIT = job_id("fit-1.1")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A chain of runs first -> second -> third, hard, and aside, which knows softly of second."""
    raw = JobSpec(RAW)
    fit = JobSpec(FIT, reads={"a": (RAW, "data")})
    return read_lab(
        write_lab(
            tmp_path / "lab",
            [
                RunSpec("first", [raw, fit]),
                RunSpec("second", [JobSpec(job_id("two-1.1"))], dependencies={"first": "hard"}),
                RunSpec("third", [JobSpec(job_id("three-1.1"))], dependencies={"second": "hard"}),
                RunSpec("aside", [JobSpec(job_id("four-1.1"))], dependencies={"second": "soft"}),
            ],
            groups={"ends": ["third", "first"]},
        )
    )


def test_runs_come_in_the_order_of_the_lab_and_know_what_they_wait_for(lab: Lab) -> None:
    assert wishes(lab, ["third", "aside", "first", "third"], []) == (
        Wish("first", (), ()),
        # Through second, which is not asked for.
        Wish("third", (), ("first",)),
        Wish("aside", (), ()),
    )
    assert wishes(lab, ["@ends", "second"], [])[2] == Wish("third", (), ("first", "second"))


def test_a_job_stands_for_itself_in_its_run(lab: Lab) -> None:
    assert wishes(lab, [FIT[:12]], []) == (Wish("first", (FIT,), ()),)
    # The whole run includes it.
    assert wishes(lab, [FIT, "first"], []) == (Wish("first", (), ()),)


def test_patterns_keep_to_runs_that_have_such_jobs(lab: Lab) -> None:
    assert wishes(lab, ["first", "second"], ["fit", "two"]) == (
        Wish("first", ("fit",), ()),
        Wish("second", ("two",), ("first",)),
    )
    assert wishes(lab, ["first", "second"], ["two"]) == (Wish("second", ("two",), ()),)
    with pytest.raises(LabLookupError, match="no job matches 'three'"):
        wishes(lab, ["first", "second"], ["three"])


@pytest.mark.parametrize("specs", [["frist"], ["@end"], [""], []])
def test_what_is_not_there_is_named(lab: Lab, specs: list[str]) -> None:
    with pytest.raises((LabLookupError, CommandLineError)):
        wishes(lab, specs, [])


def test_a_pattern_stands_for_jobs_without_what_they_need(lab: Lab) -> None:
    assert match_jobs(lab.run("first"), ["fit"]) == (FIT,)
    assert match_jobs(lab.run("first"), ["*-1.1"]) == (RAW, FIT)


def test_a_name_that_begins_several_runs_is_not_guessed(lab: Lab, tmp_path: Path) -> None:
    assert [found.run.name for found in select(lab, "fir")] == ["first"]
    other = read_lab(write_lab(tmp_path / "other", [RunSpec("run-a", []), RunSpec("run-b", [])]))
    with pytest.raises(CommandLineError, match="run-a, run-b"):
        select(other, "run")


def test_downstream_are_hard_dependencies_only(lab: Lab) -> None:
    assert downstream_runs(lab, "first") == ("second", "third")
    assert downstream_runs(lab, "third") == ()


def test_a_failure_of_before_is_still_to_be_tried(lab: Lab, tmp_path: Path) -> None:
    store = OutputStore(tmp_path / "base")
    for job, marker in ((RAW, "SUCCESS"), (FIT, "FAIL")):
        (store.job(job).repx).mkdir(parents=True)
        (store.job(job).repx / marker).touch()
    os.utime(store.job(FIT).fail, (1000, 1000))
    run = lab.run("first")
    prepared = StageProgress("prepare", jobs=1, succeeded=1, running=0, failed=0, pending=0)
    old, new = (Watch(run, run.jobs, store, since).look().stages for since in (2000.0, 0.0))
    assert old == (prepared, StageProgress("fit", jobs=1, succeeded=0, running=0, failed=0, pending=1))
    assert new == (prepared, StageProgress("fit", jobs=1, succeeded=0, running=0, failed=1, pending=0))
