"""Running the jobs of a batch on this machine, several at once.

A job that somebody else is running is waited for aside, so that it takes nobody's turn. What becomes of one job does
not concern the others. Each job's end is one line in the log; the marker in the store is the truth.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from airflow_provider_repx.execution.batches.decisions import Action, decide
from airflow_provider_repx.execution.batches.done import done_jobs
from airflow_provider_repx.execution.batches.result import BatchResult
from airflow_provider_repx.execution.jobs import JobOutcome, JobRequest, cancel_local, run_job
from airflow_provider_repx.execution.store import Claimant, OutputStore, claim_is_live
from airflow_provider_repx.lab import JobId, Lab

__all__ = ["LocalBatch"]

_log = logging.getLogger(__name__)

_WAITING_AT_ONCE = 32
"""Jobs of somebody else that are waited for at the same time."""

_TOLD_IN_FULL = 20
"""Failures whose last words are shown; the summary names the logs of all."""

_PROGRESS_SECONDS = 60.0


def _always() -> bool:
    return True


@dataclass
class LocalBatch:
    """Jobs of one run that do not depend on each other, on this machine.

    Attributes:
        lab: The lab, open.
        run: The run of the lab.
        jobs: The jobs.
        store: Where their outputs go.
        claimant: On whose behalf.
        forced: Jobs that count as done only if this very DAG run has made them.
        parallel: How many of them run at once.
        may_start: Asked before each job that is not done: whether the DAG run goes on. Called from several threads.

    """

    lab: Lab
    run: str
    jobs: Sequence[JobId]
    store: OutputStore
    claimant: Claimant
    forced: frozenset[JobId] = frozenset()
    parallel: int = 1
    may_start: Callable[[], bool] = _always
    _outcomes: dict[JobId, JobOutcome] = field(default_factory=dict, init=False, repr=False)
    _skipped: dict[JobId, str] = field(default_factory=dict, init=False, repr=False)
    _errors: dict[JobId, Exception] = field(default_factory=dict, init=False, repr=False)
    _active: set[JobId] = field(default_factory=set, init=False, repr=False)
    _failures: int = field(default=0, init=False, repr=False)
    _stopped: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        self._turns = threading.BoundedSemaphore(self.parallel)
        self._lock = threading.Lock()
        self._run = self.lab.run(self.run)

    @property
    def has_failures(self) -> bool:
        """Whether a job of the batch has failed or could not be started."""
        return bool(self._failures or self._errors)

    def settle(self) -> BatchResult:
        """Reuse, run or leave out each job, and say what became of it; raises `StoreError` if the store is unusable.

        Whatever interrupts the waiting (a signal's exception, `KeyboardInterrupt`) ends the jobs and goes on.
        """
        producers = {producer for job_id in self.jobs for producer in self._run.jobs[job_id].producers}
        done = done_jobs(self.store, {*self.jobs, *producers}, self.forced, self.claimant)
        if len(self.jobs) == 1:
            self._settle_one(self.jobs[0], done)
        else:
            self._settle_all(done)
        return BatchResult(
            outcomes=tuple(self._outcomes[job_id] for job_id in self.jobs if job_id in self._outcomes),
            skipped=self._skipped,
            errors=self._errors,
            left=tuple(
                job_id
                for job_id in self.jobs
                if job_id not in self._outcomes and job_id not in self._skipped and job_id not in self._errors
            ),
        )

    def stop(self) -> None:
        """Start no further job, and end those that are running; `settle` then returns with what has ended.

        For other threads and signal handlers. Waits for the end of the jobs' processes, at most a few seconds.
        """
        self._stopped = True
        enders = [
            threading.Thread(target=cancel_local, args=(self.store, job_id, self.claimant), daemon=True)
            for job_id in tuple(self._active)
        ]
        for thread in enders:
            thread.start()
        for thread in enders:
            thread.join()

    def _settle_all(self, done: frozenset[JobId]) -> None:
        with ThreadPoolExecutor(_WAITING_AT_ONCE, "repx-waiting") as waiting, self._workers() as working:
            aside: list[Future[None]] = []

            def begin(job_id: JobId) -> None:
                # Whoever waits for somebody else must not keep the next job from its turn.
                if job_id in done or not claim_is_live(self.store.job(job_id).claim):
                    self._settle_one(job_id, done)
                else:
                    aside.append(waiting.submit(self._settle_one, job_id, done))

            try:
                self._await([working.submit(begin, job_id) for job_id in self.jobs])
                self._await(aside)
            except BaseException:
                self._stopped = True
                for pool in (working, waiting):
                    pool.shutdown(wait=False, cancel_futures=True)
                self.stop()
                raise

    def _workers(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(min(self.parallel, len(self.jobs)), "repx-job")

    def _await(self, futures: list[Future[None]]) -> None:
        while wait(futures, timeout=_PROGRESS_SECONDS).not_done:
            with self._lock:
                ended, running = self._ended, len(self._active)
            _log.info(
                "%d of %d jobs have ended, %d failed, %d are under way", ended, len(self.jobs), self._failures, running
            )
        for future in futures:
            future.result()

    @property
    def _ended(self) -> int:
        return len(self._outcomes) + len(self._skipped) + len(self._errors)

    def _settle_one(self, job_id: JobId, done: frozenset[JobId]) -> None:
        """Come to the end of one job; whatever goes wrong with it is kept for the result."""
        if self._stopped:
            return
        decision = decide(self._run, job_id, done)
        if decision.action is Action.RUN and not self.may_start():
            decision = decide(self._run, job_id, done, stopped=True)
        if decision.action is Action.SKIP:
            with self._lock:
                self._skipped[job_id] = decision.reason
                _log.warning("%s: skipped: %s", self._numbered(job_id), decision.reason)
            return
        with self._lock:
            self._active.add(job_id)
        try:
            outcome = run_job(self._request(job_id), turns=self._turns, stopped=lambda: self._stopped)
        except Exception as error:  # noqa: BLE001 - it is raised again when the other jobs have ended
            with self._lock:
                self._errors[job_id] = error
                # Its traceback follows when the task fails.
                _log.error("%s: not started: %s", self._numbered(job_id), error)
        else:
            self._take(job_id, outcome)
        finally:
            with self._lock:
                self._active.discard(job_id)

    def _request(self, job_id: JobId) -> JobRequest:
        return JobRequest(
            lab=self.lab,
            run=self.run,
            job_id=job_id,
            store=self.store,
            claimant=self.claimant,
            force=job_id in self.forced,
        )

    def _take(self, job_id: JobId, outcome: JobOutcome) -> None:
        with self._lock:
            self._outcomes[job_id] = outcome
            if outcome.status != "failed":
                _log.info("%s%s", self._number(), outcome.describe())
                return
            self._failures += 1
            text = outcome.describe()
            _log.error("%s%s", self._number(), text if self._failures <= _TOLD_IN_FULL else text.partition("\n")[0])

    def _number(self) -> str:
        return f"[{self._ended}/{len(self.jobs)}] " if len(self.jobs) > 1 else ""

    def _numbered(self, job_id: JobId) -> str:
        return f"{self._number()}{job_id}"
