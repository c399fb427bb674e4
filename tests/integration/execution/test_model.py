"""What is executed, reused, skipped and failed, compared with a model that is simple enough to be believed.

Random labs, and DAG runs of them one after another with random failures and params. The jobs, the store and the
decisions are real; only Airflow, which would start a task for each instance, is played by a loop.
"""

from __future__ import annotations

import shlex
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_repx.execution.batches import LocalBatch, done_jobs
from airflow_provider_repx.execution.reports import JobEnd, ReportRequest, gather_facts, report_on
from airflow_provider_repx.execution.store import Claimant, OutputStore
from airflow_provider_repx.lab import JobId, Lab, read_lab
from airflow_provider_repx.plan import RunPlan, plan_run
from airflow_provider_repx.plan.asked import asked_jobs
from airflow_provider_repx.plan.instances import idle_instances, job_instances
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.integration

Ends = dict[str, set[str]]


@dataclass(frozen=True)
class Trigger:
    """One DAG run: its params, and the jobs that fail if they are executed."""

    failing: frozenset[int]
    named: frozenset[int]
    downstream: bool
    force: bool
    continue_on_failure: bool


@dataclass(frozen=True)
class Shape:
    """A run: for each stage, for each of its jobs, the numbers of the jobs that it reads from."""

    stages: tuple[tuple[tuple[int, ...], ...], ...]
    max_mapped: int
    chunk: int

    @property
    def reads(self) -> list[tuple[int, ...]]:
        return [reads for stage in self.stages for reads in stage]


@st.composite
def shapes(draw: Any) -> Shape:
    stages: list[tuple[tuple[int, ...], ...]] = []
    numbers: list[list[int]] = []
    for _ in range(draw(st.integers(1, 3))):
        first = sum(map(len, numbers))
        width = draw(st.integers(1, 4))
        jobs = []
        for index in range(width):
            if not numbers:
                jobs.append(())
            elif draw(st.booleans()):
                jobs.append((numbers[-1][index % len(numbers[-1])],))
            else:
                known = [number for stage in numbers for number in stage]
                jobs.append(tuple(sorted(draw(st.sets(st.sampled_from(known), max_size=2)))))
        stages.append(tuple(jobs))
        numbers.append(list(range(first, first + width)))
    return Shape(tuple(stages), draw(st.sampled_from([1000, 2, 1])), draw(st.sampled_from([1, 1, 2, 3])))


def triggers(jobs: int) -> st.SearchStrategy[Trigger]:
    some = st.frozensets(st.integers(0, jobs - 1), max_size=2)
    named = st.one_of(st.just(frozenset[int]()), st.frozensets(st.integers(0, jobs - 1), min_size=1, max_size=2))
    return st.builds(Trigger, some, named, st.booleans(), st.booleans(), st.booleans())


@dataclass
class Model:
    """The answer, without a store: `done` tells which DAG run made a job."""

    reads: list[tuple[int, ...]]
    done: dict[int, int] = field(default_factory=dict)

    def run(self, number: int, trigger: Trigger, order: list[int]) -> Ends:
        jobs = set(range(len(self.reads)))
        named = set(trigger.named) or jobs
        behind = self._behind(named)
        wanted = self._before(named | (behind if trigger.downstream else set()))
        forced = (named | behind) & wanted if trigger.force else set()
        ends: Ends = {"executed": set(), "reused": set(), "failed": set(), "skipped": set()}
        stopped = False

        def is_done(job: int) -> bool:
            return job in self.done and (job not in forced or self.done[job] == number)

        for job in order:
            if job not in wanted:
                continue
            if is_done(job):
                ends["reused"].add(str(job))
            elif stopped or not all(map(is_done, self.reads[job])):
                ends["skipped"].add(str(job))
            elif job in trigger.failing:
                ends["failed"].add(str(job))
                self.done.pop(job, None)
                stopped = not trigger.continue_on_failure
            else:
                ends["executed"].add(str(job))
                self.done[job] = number
        return ends

    def _behind(self, jobs: set[int]) -> set[int]:
        found: set[int] = set()
        for job, reads in enumerate(self.reads):
            if (jobs | found).intersection(reads):
                found.add(job)
        return found

    def _before(self, jobs: set[int]) -> set[int]:
        found = set(jobs)
        for job in reversed(range(len(self.reads))):
            if job in found:
                found.update(self.reads[job])
        return found


@dataclass
class Reality:
    """The lab, its store, and a loop in Airflow's place."""

    folder: Path
    shape: Shape
    ids: list[JobId] = field(default_factory=list)

    def __post_init__(self) -> None:
        specs: list[JobSpec] = []
        here = shlex.quote(str(self.folder))
        script = 'echo {0} >>{1}/executed\n[ ! -e {1}/fail-{0} ]\necho x >"$out/data.txt"'
        for stage, jobs in enumerate(self.shape.stages):
            for reads in jobs:
                number = len(specs)
                specs.append(
                    JobSpec(
                        job_id(f"stage{stage}-1", str(number)),
                        script=script.format(number, here),
                        params={"number": number},
                        reads={f"from_{other}": (specs[other].id, "data") for other in reads},
                    )
                )
        write_lab(self.folder / "lab", [RunSpec("main", specs)])
        self.ids = [JobId(spec.id) for spec in specs]
        self.store = OutputStore(self.folder / "base")
        self.lab: Lab = read_lab(self.folder / "lab")
        self.plan: RunPlan = plan_run(self.lab, "main", max_mapped=self.shape.max_mapped, chunk=self.shape.chunk)

    @property
    def order(self) -> list[int]:
        """The jobs in the order in which the loop comes to them."""
        number = {job: index for index, job in enumerate(self.ids)}
        return [number[job] for _, jobs in job_instances(self.plan) for job in jobs]

    def run(self, number: int, trigger: Trigger) -> Ends:
        for job in range(len(self.ids)):
            (self.folder / f"fail-{job}").unlink(missing_ok=True)
        for job in trigger.failing:
            (self.folder / f"fail-{job}").touch()
        (self.folder / "executed").write_text("")
        since = time.time()
        patterns = [self.ids[job] for job in trigger.named]
        asked = asked_jobs(self.lab.run("main"), patterns, downstream=trigger.downstream, force=trigger.force)
        me = Claimant("dag", f"run-{number}", "open_lab")
        done = done_jobs(self.store, asked.wanted, asked.forced, me)
        idle = set(idle_instances(self.plan, asked.wanted - done))
        failed = False
        for (task_id, index), jobs in job_instances(self.plan):
            mine = [job for job in jobs if job in asked.wanted]
            if not mine or (task_id, index) in idle:
                continue
            batch = LocalBatch(
                lab=self.lab,
                run="main",
                jobs=mine,
                store=self.store,
                claimant=Claimant("dag", f"run-{number}", task_id, index),
                forced=asked.forced,
                parallel=2 if trigger.continue_on_failure else 1,
            )
            if not trigger.continue_on_failure:
                batch.may_start = lambda batch=batch, failed=failed: not (failed or batch.has_failures)  # type: ignore[misc]
            result = batch.settle()
            assert not result.errors
            failed = failed or bool(result.with_status("failed"))
        return self._ends(ReportRequest(self.lab, self.plan, self.store, asked, me, "local", since=since))

    def _ends(self, request: ReportRequest) -> Ends:
        """The report's word, checked against what the scripts have written down."""
        ends: Ends = {"executed": set(), "reused": set(), "failed": set(), "skipped": set()}
        facts = gather_facts(request)
        for fact in facts:
            ends[fact.end.value].add(str(fact.parameters["number"]))
        executed = (self.folder / "executed").read_text().split()
        assert len(executed) == len(set(executed))
        assert set(executed) == ends["executed"] | ends["failed"]
        report = report_on(facts)
        assert report.succeeded == len(ends["executed"]) + len(ends["reused"])
        assert all(job.cause for job in report.unfinished)
        assert report.count(JobEnd.FAILED) == len(ends["failed"])
        return ends


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_every_job_comes_to_the_end_that_the_model_says(data: st.DataObject) -> None:
    shape = data.draw(shapes())
    with tempfile.TemporaryDirectory() as folder:
        reality = Reality(Path(folder), shape)
        model = Model(shape.reads)
        for number in range(data.draw(st.integers(2, 3))):
            trigger = data.draw(triggers(len(shape.reads)))
            assert reality.run(number, trigger) == model.run(number, trigger, reality.order)
            done = {index for index, job in enumerate(reality.ids) if reality.store.job(job).success.exists()}
            assert done == set(model.done)
