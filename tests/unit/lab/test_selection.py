from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.errors import LabFormatError, LabLookupError
from airflow_provider_repx.lab import (
    Job,
    JobId,
    Run,
    downstream_of,
    effective_parameters,
    read_lab,
    select_jobs,
    topological_order,
)
from airflow_provider_repx.lab.graph import find_order
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.unit

A1, A2, B1, B2, C, LONE = (
    JobId(job_id(name, seed))
    for name, seed in [
        ("make-1.1", "1"),
        ("make-1.1", "2"),
        ("measure-1.1", "1"),
        ("measure-1.1", "2"),
        ("report-2.0", ""),
        ("lone-1.1", ""),
    ]
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    jobs = [
        JobSpec(C, reads={"x": (B1, "data"), "y": (B2, "data")}, params={"title": "T"}),
        JobSpec(B2, reads={"x": (A2, "data")}, params={"seed": 9}),
        JobSpec(A1, params={"seed": 1, "model": "small"}),
        JobSpec(B1, reads={"x": (A1, "data")}, extra={"stage": "measuring"}),
        JobSpec(A2, params={"seed": 2, "model": "large"}),
        JobSpec(LONE),
    ]
    return read_lab(write_lab(tmp_path / "lab", [RunSpec("sim", jobs)])).run("sim")


def test_the_order_puts_producers_first_and_is_otherwise_that_of_the_file(run: Run) -> None:
    assert topological_order(run) == (A1, B1, A2, B2, C, LONE)


def test_an_order_that_is_already_right_is_kept() -> None:
    upstream = {"a": (), "b": ("a",), "c": (), "d": ("b", "c")}
    assert find_order(upstream, upstream.__getitem__) == (("a", "b", "c", "d"), ())


def test_a_circle_is_returned_without_what_leads_to_it() -> None:
    upstream = {"a": ("b",), "b": ("c",), "c": ("d",), "d": ("b",)}
    assert find_order(upstream, upstream.__getitem__) == ((), ("b", "c", "d"))


def test_a_circle_in_a_run_made_by_hand_is_refused(run: Run) -> None:
    job = Job.model_validate(run.jobs[B1].model_dump() | {"executables": run.jobs[C].executables})
    broken = Run(run.name, run.metadata, run.git_hash, (), None, dict(run.jobs) | {B1: job})
    with pytest.raises(LabFormatError, match="in a circle"):
        topological_order(broken)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], (A1, B1, A2, B2, C, LONE)),
        ([B1], (A1, B1)),
        ([B1[:10]], (A1, B1)),
        (["make-1.1"], (A1, A2)),
        (["make"], (A1, A2)),
        (["measuring"], (A1, B1)),
        (["meas*"], (A1, B1, A2, B2)),
        (["*-2.0"], (A1, B1, A2, B2, C)),
        ([f"{B2[:8]}*"], (A2, B2)),
        ([LONE, "make-?.1"], (A1, A2, LONE)),
        (["[lm]*-1.1"], (A1, B1, A2, B2, LONE)),
    ],
)
def test_patterns_select_jobs_and_what_they_need(run: Run, patterns: list[str], expected: Any) -> None:
    assert select_jobs(run, patterns) == expected


def test_a_stage_is_not_mixed_with_ids_that_start_like_it(tmp_path: Path) -> None:
    other = job_id("other-1.1")
    named = job_id(f"{other[0]}-1.1", "named")
    made = read_lab(write_lab(tmp_path / "lab", [RunSpec("sim", [JobSpec(other), JobSpec(named)])])).run("sim")
    assert select_jobs(made, [other[0]]) == (named,)


@pytest.mark.parametrize("pattern", ["", "mesure", "zzz*", A1 + "x", "eeee"])
def test_a_pattern_that_matches_nothing_is_an_error(run: Run, pattern: str) -> None:
    with pytest.raises(LabLookupError, match="sim: no job matches"):
        select_jobs(run, [B1, pattern])


def test_the_error_proposes_a_stage(run: Run) -> None:
    with pytest.raises(LabLookupError, match=r"no job matches 'mesure' \(did you mean 'measure'"):
        select_jobs(run, ["mesure"])


def test_downstream_jobs_are_found(run: Run) -> None:
    assert downstream_of(run, [A1]) == (B1, C)
    assert downstream_of(run, [A1, B1]) == (B1, C)
    assert downstream_of(run, [A1, A2]) == (B1, B2, C)
    assert downstream_of(run, [LONE]) == ()
    with pytest.raises(LabLookupError, match="no job 'x' in this run"):
        downstream_of(run, [JobId("x")])


def test_effective_parameters_are_those_of_all_producers_under_the_own(run: Run) -> None:
    assert effective_parameters(run) == {
        A1: {"seed": 1, "model": "small"},
        A2: {"seed": 2, "model": "large"},
        B1: {"seed": 1, "model": "small"},
        B2: {"seed": 9, "model": "large"},
        C: {"title": "T", "seed": 1, "model": "small"},
        LONE: {},
    }
    assert tuple(effective_parameters(run)) == topological_order(run)


def test_parameters_do_not_leak_between_jobs(run: Run) -> None:
    effective = effective_parameters(run)
    assert effective[A1] == run.jobs[A1].params
    assert run.jobs[B1].params == {}
