"""Reports, from real jobs in a real store, and from facts made up."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.execution.batches import LocalBatch
from airflow_provider_repx.execution.jobs import JobRequest, run_job
from airflow_provider_repx.execution.reports import (
    JobEnd,
    JobFacts,
    ReportRequest,
    RunReport,
    gather_facts,
    report_data,
    report_lines,
    report_on,
)
from airflow_provider_repx.execution.store import Attempt, Claimant, ClaimRecord, OutputStore
from airflow_provider_repx.execution.store.attempt import write_attempt
from airflow_provider_repx.execution.units import Unit, read_work_items, settle_branches
from airflow_provider_repx.lab import JobId, Lab, read_lab
from airflow_provider_repx.plan import RunPlan, plan_run
from airflow_provider_repx.plan.asked import asked_jobs
from airflow_provider_repx.targets import Resources
from tests.support.experiments import Experiment
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.support.scatter_gather import StepSpec, scatter_gather

pytestmark = pytest.mark.unit

HOUR = 3600
GIB = 2**30


class DagRun:
    """One DAG run after another over an experiment, without Airflow."""

    def __init__(self, experiment: Experiment, run_id: str) -> None:
        self.lab: Lab = read_lab(experiment.lab)
        self.plan: RunPlan = plan_run(self.lab, "simulation")
        self.store = OutputStore(experiment.base)
        self.run_id = run_id
        self.since = time.time()

    def settle(self, **asked: Any) -> RunReport:
        wanted = asked_jobs(self.lab.run("simulation"), **asked)
        for task_id, stage in self.plan.stages.items():
            claimant = Claimant("dag", self.run_id, task_id)
            jobs = [job for job in stage.jobs if job in wanted.wanted]
            if jobs:
                LocalBatch(self.lab, "simulation", jobs, self.store, claimant, wanted.forced, parallel=2).settle()
        claimant = Claimant("dag", self.run_id, "summary")
        request = ReportRequest(self.lab, self.plan, self.store, wanted, claimant, "local", since=self.since)
        return report_on(gather_facts(request))


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    made = Experiment(tmp_path)
    made.write()
    return made


def text_of(report: RunReport) -> str:
    return "\n".join(report_lines(report, "run simulation"))


def test_failures_come_first_with_parameters_cause_and_log(experiment: Experiment) -> None:
    experiment.fail("s1.2")
    report = DagRun(experiment, "first").settle()
    assert {end: count for end, count in report.counts.items() if count} == {
        JobEnd.EXECUTED: 12,
        JobEnd.FAILED: 1,
        JobEnd.SKIPPED: 1,
    }
    lines = text_of(report).splitlines()
    assert lines[0] == "run simulation: not done. 14 jobs: 1 failed, 1 skipped, 12 executed"
    [failed] = report.ended(JobEnd.FAILED)
    assert lines[1:5] == [
        "1 failed:",
        "  simulate: temperature=1.0, seed=1",
        "      its script exited with 3",
        f"      job {failed.job_id}, log {experiment.base}/outputs/{failed.job_id}/repx/stderr.log",
    ]
    [skipped] = report.ended(JobEnd.SKIPPED)
    assert skipped.cause == f"upstream jobs are not done: {failed.job_id} (failed)"
    assert skipped.log is None


def test_what_all_jobs_have_in_common_tells_none_from_another(tmp_path: Path) -> None:
    same = {"model": "ising", "sweeps": 50}
    swept = [JobSpec(job_id("roll-1.1", str(seed)), params={"seed": seed, **same}) for seed in (1, 2)]
    alone = JobSpec(job_id("plot-1.1"), params=same)
    write_lab(tmp_path / "lab", [RunSpec("simulation", [*swept, alone])])
    lab, store = read_lab(tmp_path / "lab"), OutputStore(tmp_path / "base")
    for job in (swept[0], alone):
        store.job(job.id).repx.mkdir(parents=True)
        store.job(job.id).fail.touch()
    wanted = asked_jobs(lab.run("simulation"))
    request = ReportRequest(lab, plan_run(lab, "simulation"), store, wanted, Claimant("dag", "r", "summary"), "local")
    report = report_on(gather_facts(request))
    lines = text_of(report).splitlines()
    assert {line for line in lines if line.startswith(("  roll", "  plot"))} == {
        "  roll: seed=1",
        "  roll: seed=2",
        "  plot",
    }
    assert {failure["parameters"] for failure in report_data(report)["failures"]} == {"seed=1", ""}


def test_a_later_run_tells_what_it_reused_from_what_it_ran(experiment: Experiment) -> None:
    experiment.fail("s1.2")
    DagRun(experiment, "first").settle()
    again = DagRun(experiment, "second").settle(patterns=["measure"])
    assert again.count(JobEnd.FAILED) == 1
    (experiment.folder / "fail-s1.2").unlink()
    third = DagRun(experiment, "third").settle()
    assert (third.count(JobEnd.REUSED), third.count(JobEnd.EXECUTED), third.succeeded) == (12, 2, 14)
    by_task = {stage.task_id: stage for stage in third.stages}
    assert by_task["simulate"].counts == {JobEnd.REUSED: 5, JobEnd.EXECUTED: 1}
    assert "hint" not in text_of(third)


def test_an_old_failure_of_a_job_that_did_not_start_is_not_this_runs(experiment: Experiment) -> None:
    experiment.fail("s1.1")
    experiment.fail("m1.2")
    DagRun(experiment, "first").settle()
    experiment.fail("s1.2")
    second = DagRun(experiment, "second").settle(patterns=["measure"], force=True)
    third = DagRun(experiment, "third").settle(patterns=["simulate"], force=True, downstream=True)
    assert second.count(JobEnd.FAILED) == 2
    # s1.1 and s1.2 fail, and so m1.1 and m1.2 do not start, whatever became of them before.
    assert (third.count(JobEnd.FAILED), third.count(JobEnd.SKIPPED)) == (2, 2)


def test_a_job_that_was_stopped_and_one_that_repx_made(experiment: Experiment) -> None:
    run = DagRun(experiment, "first")
    run.settle()
    stopped, foreign = run.plan.stages["measure"].jobs[:2]
    for job, outcome in ((stopped, "cancelled"), (foreign, None)):
        paths = run.store.job(job)
        if outcome is None:
            paths.attempt.unlink()
        else:
            paths.success.unlink()
            record = ClaimRecord(Claimant("dag", "first", "measure"))
            write_attempt(paths.attempt, Attempt(record.token, "cancelled", started=1.0, ended=2.0, claim=record))
    report = report_on(
        gather_facts(
            ReportRequest(
                run.lab,
                run.plan,
                run.store,
                asked_jobs(run.lab.run("simulation")),
                Claimant("dag", "first", "summary"),
                "local",
            )
        )
    )
    assert (report.count(JobEnd.CANCELLED), report.count(JobEnd.REUSED)) == (1, 1)


def facts(number: int, end: JobEnd = JobEnd.EXECUTED, **values: Any) -> JobFacts:
    asked = values.get("asked", Resources()).cpus or 1
    given = {
        "measured": end in (JobEnd.EXECUTED, JobEnd.FAILED),
        "parameters": {"seed": number},
        "asked_cpu_seconds": asked * values.get("seconds", 0.0) if end is not JobEnd.REUSED else 0.0,
        **values,
    }
    return JobFacts(JobId(f"job-{number}"), "simulate", end, **given)


def test_hundreds_of_failures_are_counted_by_cause_and_a_few_are_shown() -> None:
    failed = [
        facts(number, JobEnd.FAILED, cause="exit 3" if number % 3 else "TIMEOUT", log=Path("/log"))
        for number in range(300)
    ]
    report = report_on(failed)
    text = text_of(report)
    assert "  200 of simulate: exit 3" in text
    assert "  100 of simulate: TIMEOUT" in text
    assert "… and 280 more" in text
    assert len(text.splitlines()) < 80
    assert len(json.dumps(report_data(report))) < 8000
    assert report_data(report)["failed"] == 300


def test_costs_are_those_of_what_was_run() -> None:
    asked = Resources(cpus=4)
    report = report_on(
        [
            facts(1, asked=asked, seconds=HOUR, cpu_seconds=2.0 * HOUR, peak_memory=3 * GIB),
            facts(2, JobEnd.FAILED, seconds=HOUR, cpu_seconds=1.0 * HOUR, cause="x"),
            facts(3, JobEnd.REUSED, asked=asked, seconds=99.0),
        ]
    )
    assert (report.cpu_hours_asked, report.cpu_hours_used, report.peak_memory) == (5.0, 3.0, 3 * GIB)
    assert "CPU hours: 5.00 asked, 3.00 used; largest job: 3.0 GiB" in text_of(report)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"asked": Resources(time=7200), "seconds": 500.0},
            "time: 02:00:00 asked, the longest took 00:08:20; 00:13:00",
        ),
        ({"asked": Resources(time=7200), "seconds": 5000.0}, ""),
        ({"asked": Resources(time=60), "seconds": 1.0}, ""),
        (
            {"asked": Resources(time=60), "seconds": 60.0, "hit": "time"},
            "time: 1 reached the limit of 00:01:00; try 00:02",
        ),
        ({"asked": Resources(mem=64 * GIB), "peak_memory": 2 * GIB}, "mem: 64G asked, at most 2G used; 3G would do"),
        ({"asked": Resources(mem=64 * GIB)}, ""),
        ({"asked": Resources(mem=4 * GIB), "hit": "memory"}, "mem: 1 ran out of 4G; try 8G"),
        (
            {"asked": Resources(cpus=8), "seconds": 100.0, "cpu_seconds": 130.0},
            "cpus: 8 asked, at most 1.3 busy; 2 would",
        ),
        ({"asked": Resources(cpus=8), "seconds": 1.0, "cpu_seconds": 1.0}, ""),
        ({"asked": Resources(cpus=2), "seconds": 100.0, "cpu_seconds": 190.0}, ""),
    ],
)
def test_hints_follow_from_what_was_used(values: dict[str, Any], expected: str) -> None:
    [stage] = report_on([facts(1, **values)]).stages
    assert bool(stage.suggestions) == bool(expected)
    assert expected in " ".join(stage.suggestions)


def test_a_scatter_gather_job_fails_and_costs_with_its_parts(tmp_path: Path) -> None:
    spec = scatter_gather(
        job_id("fan-1.1"),
        items="echo '[1,2]' > work_items.json",
        steps={"only": StepSpec(hints={"cpus": 3})},
        before='if [[ $part == step-only && $branch == 1 ]]; then echo "no luck" >&2; exit 7; fi',
        hints={"step-only": {"cpus": 3}},
    )
    write_lab(tmp_path / "lab", [RunSpec("simulation", [spec])])
    lab, store = read_lab(tmp_path / "lab"), OutputStore(tmp_path / "base")
    job = JobId(spec.id)
    me = Claimant("dag", "first", "scatter")
    run_job(JobRequest(lab, "simulation", job, store, me, part="scatter"))
    settle_branches(store, job, lab.run("simulation").jobs[job], read_work_items(store, job))
    for branch in (0, 1):
        run_job(JobRequest(lab, "simulation", job, store, me, part="step", branch=branch, step="only"))
    plan = plan_run(lab, "simulation")
    asked = asked_jobs(lab.run("simulation"))
    [fact] = gather_facts(ReportRequest(lab, plan, store, asked, me, "local"))
    assert fact.end is JobEnd.FAILED
    assert fact.cause == "a part of it failed: its script exited with 7"
    assert fact.log == store.job(job).branch(1) / "step-only" / "repx" / "stderr.log"
    parts = [Unit(job, "scatter"), *(Unit(job, "step", branch, "only") for branch in (0, 1))]
    took = sum(attempt.seconds for attempt in store.folder_attempts(part.paths(store) for part in parts).values())
    assert took < fact.asked_cpu_seconds < 3 * took
    other = Claimant("dag", "second", "summary")
    [fact] = gather_facts(ReportRequest(lab, plan, store, asked, other, "local"))
    assert fact.asked_cpu_seconds == 0.0
