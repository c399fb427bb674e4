"""From the output store to facts: who made which job, who failed, and what kept the others from starting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_repx.execution.batches import done_jobs
from airflow_provider_repx.execution.jobs.outcome import describe_exit
from airflow_provider_repx.execution.reports.facts import JobEnd, JobFacts
from airflow_provider_repx.execution.reports.part_records import PartRecords
from airflow_provider_repx.execution.store import Attempt, Claimant, JobStatus, OutputStore
from airflow_provider_repx.lab import JobId, Lab, effective_parameters, topological_order
from airflow_provider_repx.plan import RunPlan
from airflow_provider_repx.plan.asked import AskedJobs
from airflow_provider_repx.targets import ResourceRules, Resources, resolve, resolve_executable

__all__ = ["ReportRequest", "gather_facts"]

_MEMORY_CAUSES = ("OUT_OF_MEMORY",)
_TIME_CAUSES = ("TIMEOUT", "DEADLINE")


@dataclass(frozen=True)
class ReportRequest:
    """What a report is about: the jobs that one DAG run asked for.

    Attributes:
        lab: The lab, open.
        plan: The run's plan.
        store: Where the jobs' outputs are.
        asked: The jobs.
        claimant: A task of the DAG run.
        target: The name of the target, which resource rules may be about.
        rules: The resource rules.
        since: When the DAG run began, in seconds since 1970: a failure from before is none of its own.

    """

    lab: Lab
    plan: RunPlan
    store: OutputStore
    asked: AskedJobs
    claimant: Claimant
    target: str
    rules: ResourceRules = field(default_factory=ResourceRules)
    since: float = 0.0


def gather_facts(request: ReportRequest) -> tuple[JobFacts, ...]:
    """What is known of each wanted job, upstream first: one look at the store, then its records.

    Raises `StoreError` where the store cannot be read.
    """
    return _Gathering(request).facts()


class _Gathering:
    def __init__(self, request: ReportRequest) -> None:
        self._request = request
        self._run = request.lab.run(request.plan.run)
        self._order = [job_id for job_id in topological_order(self._run) if job_id in request.asked.wanted]
        self._done = done_jobs(request.store, self._order, request.asked.forced, request.claimant)
        open_jobs = [job_id for job_id in self._order if job_id not in self._done]
        self._statuses = request.store.statuses(open_jobs) if open_jobs else {}
        self._attempts = request.store.attempts(self._order)
        self._parts = PartRecords(request.store, self._run, self._statuses, self._order)
        self._parameters = effective_parameters(self._run)
        self._task_ids = {job_id: task_id for task_id, jobs in request.plan.jobs_of.items() for job_id in jobs}
        self._labels = _labels_of(request.plan)
        self._resources: dict[object, Resources] = {}
        self._ends: dict[JobId, JobEnd] = {}

    def facts(self) -> tuple[JobFacts, ...]:
        return tuple(self._of(job_id) for job_id in self._order)

    def _of(self, job_id: JobId) -> JobFacts:
        attempt = self._attempts.get(job_id)
        own = attempt is not None and self._is_own(attempt)
        end = self._ends[job_id] = self._end(job_id, attempt, own=own)
        started = end not in (JobEnd.SKIPPED, JobEnd.RUNNING)
        measured = attempt is not None and own and started and attempt.started > 0
        figures = attempt if measured and attempt is not None else Attempt(token="", outcome="cancelled")
        costs = _Costs().plus(figures, self._asked(job_id).cpus) if measured else _Costs()
        parts = self._spent_on_parts(job_id) if self._has_parts(job_id) else _Costs()
        return JobFacts(
            job_id=job_id,
            task_id=self._task_ids.get(job_id, ""),
            end=end,
            parameters=self._parameters[job_id],
            label=self._labels.get(job_id),
            asked=self._asked(job_id),
            cause="" if end.is_done else self._cause(job_id, end, attempt),
            log=None if end is JobEnd.SKIPPED else self._log(job_id, end),
            measured=measured,
            seconds=figures.seconds,
            cpu_seconds=figures.cpu_seconds if parts.used == 0.0 else costs.used + parts.used,
            asked_cpu_seconds=costs.asked + parts.asked,
            peak_memory=max((size for size in (figures.peak_memory, parts.peak_memory) if size), default=None),
            hit=_limit_hit(attempt) if end is JobEnd.FAILED and attempt is not None else "",
        )

    def _has_parts(self, job_id: JobId) -> bool:
        return self._run.jobs[job_id].stage_type == "scatter-gather"

    def _spent_on_parts(self, job_id: JobId) -> _Costs:
        """What this DAG run has spent on scatter and steps of a job."""
        request, job = self._request, self._run.jobs[job_id]
        costs = _Costs()
        for executable, attempts in self._parts.attempts(job_id).items():
            own = [attempt for attempt in attempts if self._is_own(attempt)]
            if own:
                asked = resolve_executable(request.rules, request.target, job_id, job, executable)
                for attempt in own:
                    costs = costs.plus(attempt, asked.cpus)
        return costs

    def _is_own(self, attempt: Attempt) -> bool:
        return attempt.claim is not None and attempt.claim.claimant.same_dag_run(self._request.claimant)

    def _end(self, job_id: JobId, attempt: Attempt | None, *, own: bool) -> JobEnd:
        if job_id in self._done:
            return JobEnd.EXECUTED if own else JobEnd.REUSED
        if self._statuses[job_id] is JobStatus.RUNNING:
            return JobEnd.RUNNING
        # Whoever waited for somebody else's attempt took its failure for their own.
        recent = own or (attempt is not None and attempt.ended >= self._request.since)
        if self._has_parts(job_id):
            # A part may have failed now, whatever became of gather before.
            recent = recent or self._done.issuperset(self._run.jobs[job_id].producers)
        if self._statuses[job_id] is JobStatus.FAILED and (recent or attempt is None):
            return JobEnd.FAILED
        if attempt is not None and attempt.outcome == "cancelled" and own:
            return JobEnd.CANCELLED
        return JobEnd.SKIPPED

    def _log(self, job_id: JobId, end: JobEnd) -> Path:
        part = self._parts.failed(job_id) if end is JobEnd.FAILED else None
        return (part or self._request.store.job(job_id)).stderr

    def _cause(self, job_id: JobId, end: JobEnd, attempt: Attempt | None) -> str:
        if end is JobEnd.RUNNING:
            return "somebody else is running it"
        if end is JobEnd.SKIPPED:
            return self._hindrance(job_id)
        if end is JobEnd.FAILED and self._has_parts(job_id):
            part = self._parts.failed(job_id)
            record = attempt if part is None else self._parts.record(part)
            return f"a part of it failed: {describe_exit(record)}" if record is not None else "a part of it failed"
        return "it failed" if attempt is None or attempt.outcome == "succeeded" else describe_exit(attempt)

    def _hindrance(self, job_id: JobId) -> str:
        """Why a job did not start: what it reads from, as far as that is to blame."""
        producers = [producer for producer in self._run.jobs[job_id].producers if producer not in self._done]
        if not producers:
            return f"it was not started; the log of its task ({self._task_ids.get(job_id, 'unknown')}) says why"
        for end in (JobEnd.FAILED, JobEnd.CANCELLED, JobEnd.RUNNING, JobEnd.SKIPPED):
            blamed = [producer for producer in producers if self._ends.get(producer) is end]
            if blamed:
                more = f" and {len(producers) - 1} more" if len(producers) > 1 else ""
                return f"upstream jobs are not done: {blamed[0]} ({end}){more}"
        return "upstream jobs are not done"

    def _asked(self, job_id: JobId) -> Resources:
        request = self._request
        hints = self._run.jobs[job_id].resource_hints
        # Without rules, which may be about single jobs, equal hints ask for the same.
        key: object = job_id if request.rules.rules else hints
        if key not in self._resources:
            self._resources[key] = resolve(request.rules, request.target, job_id, hints)
        return self._resources[key]


@dataclass(frozen=True)
class _Costs:
    """Processor time, used and asked for, in seconds; and the largest process in bytes."""

    used: float = 0.0
    asked: float = 0.0
    peak_memory: int | None = None

    def plus(self, attempt: Attempt, cpus: int | None) -> _Costs:
        """These costs and those of an attempt that asked for so many CPUs."""
        return _Costs(
            self.used + (attempt.cpu_seconds or 0.0),
            self.asked + (cpus or 1) * attempt.seconds,
            max((size for size in (self.peak_memory, attempt.peak_memory) if size), default=None),
        )


def _labels_of(plan: RunPlan) -> Mapping[JobId, str]:
    """What users see of each job beside its task: the values that tell it from others; nothing where it is alone."""
    labels = {
        job: label
        for chain in plan.chains
        for stage in chain.stages
        for job, label in zip(stage.jobs, chain.labels, strict=True)
    }
    for group in plan.scatter_gathers:
        own = [label or group.label for label in group.labels]
        labels |= dict(zip(group.jobs, own, strict=True))
    return labels


def _limit_hit(attempt: Attempt) -> str:
    if attempt.cause.startswith(_TIME_CAUSES):
        return "time"
    return "memory" if attempt.cause.startswith(_MEMORY_CAUSES) else ""
