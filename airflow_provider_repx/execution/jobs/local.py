"""Jobs on this machine: each is run once, whatever is killed, restarted, cleared or started twice.

`run_job` decides between four answers:

* The job is done: reuse it.
* Somebody alive holds its claim: wait, then take the outcome. Except when that is an earlier try of the same task
  instance with its worker still alive: the task was cleared, and the new try has overtaken the kill. Then the
  predecessor's job is ended and run anew. An earlier try whose worker is dead has left an orphan, whose outcome is as
  good as any.
* A dead claim is found with the outcome of its orphan: a success is reused; a failure is this request's own if the
  orphan belonged to the same DAG run.
* Otherwise claim the job and run it.

A success counts for everybody (with `force`: only for the DAG run that made it). A failure counts for those who waited
for it: they would have run the very same script at the very same time. An attempt that was cancelled, or whose end
nobody saw, counts for nobody.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace

from airflow_provider_repx.errors import LabLookupError, StoreError
from airflow_provider_repx.execution.jobs.environment import job_environment
from airflow_provider_repx.execution.jobs.outcome import JobOutcome, describe_exit, read_tail
from airflow_provider_repx.execution.jobs.processes import job_processes, terminate_job
from airflow_provider_repx.execution.jobs.request import JobRequest
from airflow_provider_repx.execution.jobs.shipping import ship_runner
from airflow_provider_repx.execution.jobs.supervision import Launch, supervise
from airflow_provider_repx.execution.store import (
    Claim,
    Claimant,
    ClaimRecord,
    Completion,
    HeldClaim,
    JobPaths,
    OutputStore,
    append_completions,
    parameters,
    read_claim,
    reconcile,
    resolve_inputs,
    try_claim,
    write_inputs,
)
from airflow_provider_repx.execution.store.attempt import Attempt, read_attempt, settle_markers
from airflow_provider_repx.execution.store.files import make_folder
from airflow_provider_repx.lab.models import Job, JobId, Run

__all__ = ["cancel_local", "run_job"]

_log = logging.getLogger(__name__)

_FIRST_POLL_SECONDS = 0.25
_LAST_POLL_SECONDS = 2.0
_REPORT_SECONDS = 30.0


def run_job(request: JobRequest) -> JobOutcome:
    """Run a job on this machine, or take the outcome of somebody who has run or is running it.

    A job that fails is an outcome, not an exception. An exception that arrives while waiting (a signal's, or
    `KeyboardInterrupt`) ends the job with all its processes and is raised again.

    Raises:
        JobInputError: a producer of the job is not done, or an input cannot be resolved.
        StoreError: the output store cannot be used, or nobody can tell whether an existing claim is alive.
        LabError: the lab's files are not what its manifest promises.

    """
    job = _LocalJob(request)
    _active.add(job)
    try:
        return job.run()
    finally:
        _active.discard(job)


def cancel_local(store: OutputStore, job_id: JobId, claimant: Claimant, *, grace: float = 3.0) -> bool:
    """End a job if it is this claimant's own try that runs it; from another thread, process or signal handler.

    Waits for the end of its processes, at most a few seconds longer than `grace`. The `run_job` that supervises it, or
    that was still waiting for somebody else's, then returns with the status `cancelled`; somebody else's job is left
    alone. True when there was something to end, and all of it has ended.
    """
    asked = [job for job in list(_active) if job.is_for(store, job_id, claimant)]
    for job in asked:
        job.stopped = True
    record = read_claim(store.job(job_id).claim)
    if record is None or record.authority != "local" or record.claimant != claimant:
        return bool(asked)
    if not job_processes(record.token):
        return bool(asked)
    return terminate_job(record.token, grace=grace)


class _LocalJob:
    """The state of one request."""

    def __init__(self, request: JobRequest) -> None:
        self._request = request
        self._run = request.lab.run(request.run)
        self._job = _simple_job(request, self._run)
        self._paths: JobPaths = request.store.job(request.job_id)
        self._awaited: set[str] = set()
        self._overtaken: set[str] = set()
        self.stopped = False

    def is_for(self, store: OutputStore, job_id: JobId, claimant: Claimant) -> bool:
        request = self._request
        return (request.store, request.job_id, request.claimant) == (store, job_id, claimant)

    def run(self) -> JobOutcome:
        done = self._done()
        if done is not None and not self._paths.claim.exists():
            return self._outcome(done, reused=True)
        make_folder(self._paths.repx)
        try:
            claimed = self._claim()
        except StoreError as error:
            if done is None:
                raise
            _log.warning("%s is done, so this does not matter now: %s", self._request.job_id, error)
            return self._outcome(done, reused=True)
        if claimed is None:
            return self._outcome(Attempt(token="", outcome="cancelled"), reused=False)
        with claimed as claim:
            outcome = self._existing_outcome(claim)
            try:
                return outcome if outcome is not None else self._execute(claim)
            except BaseException:
                # A process that could not be killed still is the job: its claim must not be given to another.
                if job_processes(claim.record.token):
                    claim.leave()
                raise

    def _done(self) -> Attempt | None:
        """The attempt that made the job done, as far as this request is concerned."""
        if not self._paths.success.exists():
            return None
        attempt = read_attempt(self._paths.attempt)
        if attempt is None or attempt.outcome != "succeeded":
            # The marker is the truth, whoever wrote it: RepX itself leaves no record.
            attempt = Attempt(token="", outcome="succeeded")
        if not self._request.force:
            return attempt
        mine = attempt.claim is not None and attempt.claim.claimant.same_dag_run(self._request.claimant)
        return attempt if mine else None

    def _claim(self) -> Claim | None:
        """Claim the job as soon as nobody alive holds it; `None` when asked to stop before."""
        interval = _FIRST_POLL_SECONDS
        reported: tuple[str, float] | None = None
        began: dict[str, float] = {}
        while not self.stopped:
            found = try_claim(self._paths.claim, self._request.claimant)
            if isinstance(found, Claim):
                return found
            holder = found.record
            now = time.monotonic()
            if reported is None or reported[0] != holder.token or now - reported[1] >= _REPORT_SECONDS:
                self._report(found, now - began.setdefault(holder.token, now))
                reported = holder.token, now
            self._hurry(holder)
            time.sleep(interval)
            interval = min(interval * 1.5, _LAST_POLL_SECONDS)
        return None

    def _report(self, held: HeldClaim, waited: float) -> None:
        _log.info(
            "%s is being run by %s; waiting for its outcome (for %.0f s so far; its claim: %s)",
            self._request.job_id,
            held.record,
            waited,
            self._paths.claim,
        )

    def _hurry(self, holder: ClaimRecord) -> None:
        """End what must not be waited for: an overtaken try of this task, and what an orphan's script left behind."""
        self._awaited.add(holder.token)
        if holder.authority != "local" or not holder.process.same_kernel:
            return
        earlier = (
            holder.claimant.same_task_instance(self._request.claimant)
            and holder.claimant.try_number < self._request.claimant.try_number
        )
        if earlier and holder.process.is_alive:
            _log.info("try %d of this task was cleared: ending its job", holder.claimant.try_number)
            self._overtaken.add(holder.token)
            terminate_job(holder.token, grace=self._request.grace)
        elif not holder.process.is_alive:
            attempt = read_attempt(self._paths.attempt)
            if attempt is not None and attempt.token == holder.token:
                terminate_job(holder.token, grace=self._request.grace)

    def _existing_outcome(self, claim: Claim) -> JobOutcome | None:
        """The outcome of an attempt that ended before this claim, if it answers the request."""
        attempt = read_attempt(self._paths.attempt)
        orphan = claim.predecessor is not None and attempt is not None and attempt.token == claim.predecessor.token
        if attempt is not None and orphan:
            settle_markers(self._paths, attempt)
        if self._awaited or claim.predecessor is not None:
            reconcile(self._request.store, [self._request.job_id])
        done = self._done()
        if done is not None:
            return self._outcome(done, reused=True)
        if attempt is None or attempt.outcome != "failed" or attempt.token in self._overtaken:
            return None
        awaited = attempt.token in self._awaited
        own = attempt.claim is not None and attempt.claim.claimant.same_dag_run(self._request.claimant)
        if (own and (orphan or awaited)) or (awaited and not self._request.force):
            return self._outcome(attempt, reused=True)
        return None

    def _execute(self, claim: Claim) -> JobOutcome:
        launch = self._prepare(claim)
        if self._paths.success.exists():
            # RepX believes the log: it must not call a job done whose outputs are being made anew.
            append_completions(self._request.store, [Completion(self._request.job_id, succeeded=False)])
        _log.info("running %s; logs: %s and %s", self._request.job_id, self._paths.stderr, self._paths.stdout)
        supervised = supervise(launch, self._paths, claim, lambda: self.stopped)
        attempt = supervised.attempt
        if attempt.outcome == "succeeded":
            settle_markers(self._paths, attempt)
        if attempt.outcome != "cancelled":
            completion = Completion(self._request.job_id, succeeded=attempt.outcome == "succeeded")
            append_completions(self._request.store, [completion])
        return replace(self._outcome(attempt, reused=False), peak_memory=supervised.peak_memory)

    def _prepare(self, claim: Claim) -> Launch:
        """Verify the script, write its inputs and parameters, and say what to start."""
        request = self._request
        executable = request.lab.file(self._job.executables["main"].path)
        inputs = resolve_inputs(request.lab, self._run, request.job_id, request.store)
        write_inputs(request.store, request.job_id, inputs, parameters(self._job))
        return Launch(
            runner=ship_runner(request.store),
            executable=executable,
            environment=job_environment(
                os.environ, lab=request.lab.path, token=claim.record.token, also=request.pass_environment
            ),
            execution_type=request.execution_type,
            grace=request.grace,
            time_limit=request.time_limit,
        )

    def _outcome(self, attempt: Attempt, *, reused: bool) -> JobOutcome:
        known = attempt.started > 0
        failed = attempt.outcome != "succeeded"
        holder = str(attempt.claim) if attempt.claim is not None else "another tool"
        return JobOutcome(
            job_id=self._request.job_id,
            status=attempt.outcome,
            reused=reused,
            stdout=self._paths.stdout,
            stderr=self._paths.stderr,
            exit_code=attempt.exit_code,
            signal=attempt.signal,
            cause=describe_exit(attempt),
            started=attempt.started if known else None,
            seconds=attempt.seconds if known else None,
            cpu_seconds=attempt.cpu_seconds,
            stderr_tail=read_tail(self._paths.stderr, attempt.stderr_offset) if failed else (),
            holder=holder if reused else None,
        )


_active: set[_LocalJob] = set()
"""The requests that this process is working on, so that they can be asked to stop."""


def _simple_job(request: JobRequest, run: Run) -> Job:
    job = run.jobs.get(request.job_id)
    if job is None or "main" not in job.executables:
        what = "no job" if job is None else "a scatter-gather job, not a simple one,"
        raise LabLookupError(
            f"{request.lab.path}: run {run.name!r}: there is {what} called {request.job_id!r}, so it cannot be run."
        )
    return job
