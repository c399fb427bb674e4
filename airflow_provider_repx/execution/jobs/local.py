"""Jobs on this machine: each is run once, whatever is killed, restarted, cleared or started twice.

What is said here of a job holds for every unit: a simple job, or the scatter, a step or the gather of another one.
`run_job` decides between four answers:

* The job is done: reuse it. A part is done with its whole job; else a scatter is only done if its work items can be
  read, and a step only if it was made from the work item and the outputs of earlier steps that are there now.
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
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.jobs.environment import job_environment
from airflow_provider_repx.execution.jobs.outcome import JobOutcome, describe_exit, read_tail
from airflow_provider_repx.execution.jobs.processes import job_processes, terminate_job
from airflow_provider_repx.execution.jobs.request import JobRequest
from airflow_provider_repx.execution.jobs.shipping import ship_runner
from airflow_provider_repx.execution.jobs.start import (
    Inputs,
    is_outdated,
    items_problem,
    make_ready,
    mark_failed,
    prepare,
)
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
    read_claim,
    reconcile,
    try_claim,
)
from airflow_provider_repx.execution.store.attempt import Attempt, read_attempt, reject, settle_markers
from airflow_provider_repx.execution.store.files import make_folder
from airflow_provider_repx.execution.units import PreparedUnit, Unit, prepare_unit
from airflow_provider_repx.execution.units.prepare import find_job
from airflow_provider_repx.lab.models import JobId

__all__ = ["cancel_local", "is_done", "run_job"]

_log = logging.getLogger(__name__)

_FIRST_POLL_SECONDS = 0.25
_LAST_POLL_SECONDS = 2.0
_REPORT_SECONDS = 30.0


def _never() -> bool:
    return False


def run_job(
    request: JobRequest, *, turns: AbstractContextManager[object] | None = None, stopped: Callable[[], bool] = _never
) -> JobOutcome:
    """Run a job or one part of it on this machine, or take the outcome of somebody who has run or is running it.

    For those who run several at once: `turns` is entered while the script runs, not while waiting for somebody else's
    job; once `stopped` says so, nothing is begun any more.

    A job that fails is an outcome, not an exception. An exception that arrives while waiting (a signal's, or
    `KeyboardInterrupt`) ends the job with all its processes and is raised again.

    Raises:
        LabLookupError: the run has no such job, or the job no such part.
        JobInputError: something that the job needs is not done, or an input cannot be resolved.
        StoreError: the output store cannot be used, or nobody can tell whether an existing claim is alive.
        LabError: the lab's files are not what its manifest promises.

    """
    job = _LocalJob(request, turns if turns is not None else nullcontext(), stopped)
    _active.add(job)
    try:
        return job.run()
    finally:
        _active.discard(job)


def is_done(request: JobRequest) -> bool:
    """Whether `run_job` would reuse what is there instead of running anything; raises `LabLookupError`."""
    return _LocalJob(request).is_done()


def cancel_local(store: OutputStore, job: JobId | Unit, claimant: Claimant, *, grace: float = 3.0) -> bool:
    """End a job, or one part of it, if it is this claimant's own try that runs it.

    For other threads, processes and signal handlers. Waits for the end of its processes, at most a few seconds longer
    than `grace`. The `run_job` that supervises it, or that was still waiting for somebody else's, then returns with the
    status `cancelled`; somebody else's job is left alone. True when there was something to end, and all of it
    has ended.
    """
    unit = job if isinstance(job, Unit) else Unit(job)
    asked = [active for active in list(_active) if active.is_for(store, unit, claimant)]
    for active in asked:
        active.stop()
    record = read_claim(unit.paths(store).claim)
    if record is None or record.authority != "local" or record.claimant != claimant:
        return bool(asked)
    if not job_processes(record.token):
        return bool(asked)
    return terminate_job(record.token, grace=grace)


class _LocalJob:
    """The state of one request."""

    def __init__(
        self,
        request: JobRequest,
        turns: AbstractContextManager[object] = nullcontext(),  # noqa: B008 - it has no state
        asked_to_stop: Callable[[], bool] = _never,
    ) -> None:
        self._request = request
        self._unit = request.unit
        find_job(request.lab, request.lab.run(request.run), self._unit)
        self._paths: JobPaths = self._unit.paths(request.store)
        self._awaited: set[str] = set()
        self._overtaken: set[str] = set()
        self._turns = turns
        self._asked_to_stop = asked_to_stop
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether the job was asked to stop."""
        return self._stopped or self._asked_to_stop()

    def stop(self) -> None:
        """Ask the job to stop."""
        self._stopped = True

    def is_for(self, store: OutputStore, unit: Unit, claimant: Claimant) -> bool:
        request = self._request
        return (request.store, self._unit, request.claimant) == (store, unit, claimant)

    def is_done(self) -> bool:
        return self._done() is not None

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
            _log.warning("%s is done, so this does not matter now: %s", self._unit, error)
            return self._outcome(done, reused=True)
        if claimed is None:
            return self._cancelled()
        with claimed as claim:
            outcome = self._existing_outcome(claim)
            try:
                if outcome is not None:
                    return outcome
                with self._turns:
                    return self._cancelled() if self.stopped else self._execute(claim)
            except BaseException:
                # A process that could not be killed still is the job: its claim must not be given to another.
                if job_processes(claim.record.token):
                    claim.leave()
                raise

    def _cancelled(self) -> JobOutcome:
        """The outcome of a job that was stopped before it began."""
        return self._outcome(Attempt(token="", outcome="cancelled"), reused=False)

    def _done(self) -> Attempt | None:
        """The attempt that made the unit done, as far as this request is concerned."""
        own = self._success(self._paths)
        if self._unit.is_whole_job:
            return own
        if self._success(self._request.store.job(self._request.job_id)) is not None:
            # No record of its own is left where its folder was removed, or where RepX has made the job.
            return own or Attempt(token="", outcome="succeeded")
        return own if own is not None and self._is_current() else None

    def _success(self, paths: JobPaths) -> Attempt | None:
        if not paths.success.exists():
            return None
        attempt = read_attempt(paths.attempt)
        if attempt is None or attempt.outcome != "succeeded":
            # The marker is the truth, whoever wrote it: RepX itself leaves no record.
            attempt = Attempt(token="", outcome="succeeded")
        if not self._request.force:
            return attempt
        mine = attempt.claim is not None and attempt.claim.claimant.same_dag_run(self._request.claimant)
        return attempt if mine else None

    def _is_current(self) -> bool:
        """Whether the success of a part can be built upon."""
        prepared = self._prepared()
        if problem := items_problem(self._request.store, prepared):
            _log.warning("%s is run again: %s", self._unit, problem)
            return False
        if is_outdated(prepared):
            _log.info("%s is run again: what it was made from has changed", self._unit)
            return False
        return True

    def _prepared(self) -> PreparedUnit:
        request = self._request
        return prepare_unit(request.lab, request.lab.run(request.run), self._unit, request.store)

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
            self._unit,
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
            if attempt.outcome == "failed" and self._unit.part == "scatter":
                mark_failed(self._prepared())
        if self._unit.is_whole_job and (self._awaited or claim.predecessor is not None):
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
        prepared = prepare(self._request)
        inputs = Inputs(prepared)
        launch = self._launch(prepared, claim)
        make_ready(self._request.store, prepared)
        _log.info("running %s; logs: %s and %s", self._unit, self._paths.stderr, self._paths.stdout)
        supervised = supervise(launch, self._paths, claim, lambda: self.stopped)
        attempt = supervised.attempt
        if attempt.outcome == "succeeded":
            settle_markers(self._paths, attempt)
            if problem := items_problem(self._request.store, prepared):
                attempt = reject(self._paths, attempt, problem)
            elif problem := inputs.problem():
                # No fault of the job's own: another try is right, and nothing says that it failed.
                attempt = reject(self._paths, attempt, problem, outcome="cancelled")
        if attempt.outcome == "failed":
            mark_failed(prepared)
        if attempt.outcome != "cancelled" and self._unit.is_whole_job:
            completion = Completion(self._request.job_id, succeeded=attempt.outcome == "succeeded")
            append_completions(self._request.store, [completion])
        return replace(self._outcome(attempt, reused=False), peak_memory=supervised.peak_memory)

    def _launch(self, prepared: PreparedUnit, claim: Claim) -> Launch:
        request = self._request
        return Launch(
            runner=ship_runner(request.store),
            executable=prepared.executable,
            inputs=prepared.inputs,
            parameters=prepared.parameters,
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
            unit=self._unit,
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
