"""One attempt at a job: start its runner, wait for it, and end it when this worker is told to."""

from __future__ import annotations

import logging
import math
import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.jobs.processes import (
    boot_ticks,
    job_processes,
    may_have_processes,
    terminate_job,
)
from airflow_provider_repx.execution.store import Claim, JobPaths
from airflow_provider_repx.execution.store.attempt import Attempt, read_attempt, settle_markers, write_attempt

__all__ = ["Launch", "Supervised", "supervise"]

_log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 60.0
_POLL_SECONDS = 0.2
_KIB = 1024


@dataclass(frozen=True)
class Launch:
    """What to start: an executable under a runner, with which files, environment and limits (seconds)."""

    runner: Path
    executable: Path
    inputs: Path
    parameters: Path
    environment: Mapping[str, str]
    execution_type: str
    grace: float
    time_limit: float | None


@dataclass(frozen=True)
class Supervised:
    """How the attempt ended, and the resident memory in bytes of its largest process."""

    attempt: Attempt
    peak_memory: int | None


@dataclass(frozen=True)
class _Ended:
    """The runner's exit, as `os.wait4` reports it; both unknown when somebody else collected it."""

    exit_code: int | None
    usage: resource.struct_rusage | None


def supervise(launch: Launch, paths: JobPaths, claim: Claim, stopped: Callable[[], bool]) -> Supervised:
    """Run one attempt under a claim and say how it ended. No process of it is left then.

    `stopped` says whether the attempt was asked to stop before there was a process that could have been told so.

    Whatever interrupts the waiting (a signal's exception, `KeyboardInterrupt`, `SystemExit`) ends all processes of the
    job first and goes on. Raises `StoreError` when a process cannot be killed: the claim must then not be released.
    """
    token = claim.record.token
    started = time.time()
    offset = paths.stderr.stat().st_size if paths.stderr.exists() else 0
    with tempfile.TemporaryFile() as complaints:
        process = None
        since = boot_ticks()
        try:
            process = _start(launch, paths, claim, complaints)
            if stopped():
                terminate_job(token, grace=launch.grace)
            ended = _wait(process, launch, paths, token)
            if may_have_processes(token, process.pid, since):
                _end_leftovers(token, launch.grace)
        except BaseException:
            _log.warning("interrupted: ending the job's processes")
            _kill_all(token, launch.grace)
            if process is not None and process.returncode is None:
                _collect(process)
            raise
        attempt = read_attempt(paths.attempt)
        if attempt is None or attempt.token != token:
            attempt = _unrecorded(ended, _text(complaints), claim, started, offset)
            _record(paths, attempt)
    peak_memory = _peak_memory(ended)
    if peak_memory is not None:
        attempt = replace(attempt, peak_memory=peak_memory)
        _add_to_record(paths, attempt)
    return Supervised(attempt, peak_memory)


def _start(launch: Launch, paths: JobPaths, claim: Claim, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    # Named here, since the store may lie on a file system from which nothing can be executed.
    bash = shutil.which("bash", path=launch.environment.get("PATH", os.defpath)) or "/bin/bash"
    command = [
        bash,
        str(launch.runner),
        str(paths.out),
        str(paths.repx),
        str(launch.inputs),
        str(launch.parameters),
        str(launch.executable),
        claim.record.token,
        launch.execution_type,
        str(math.ceil(launch.grace)),
        str(paths.claim),
    ]
    try:
        # A session of its own: Airflow kills the worker's process group, and a terminal's Ctrl+C reaches its own; the
        # job is ended here, in order. Its messages go to a nameless file, which unlike a pipe outlives the worker.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=complaints,
            stderr=complaints,
            cwd=paths.root,
            env=dict(launch.environment),
            start_new_session=True,
            pass_fds=(claim.descriptor,),
        )
    except OSError as error:
        raise StoreError(f"{launch.runner}: the job runner cannot be started with {bash}: {error}") from error


def _wait(process: subprocess.Popen[bytes], launch: Launch, paths: JobPaths, token: str) -> _Ended:
    begin = time.monotonic()
    limit = math.inf if launch.time_limit is None else begin + launch.time_limit
    report = begin + _PROGRESS_SECONDS
    while True:
        ended = _wait_until(process, min(limit, report))
        if ended is not None:
            return ended
        now = time.monotonic()
        if now >= limit:
            _log.warning("the job has reached its time limit of %.0f s: ending it", launch.time_limit)
            terminate_job(token, grace=launch.grace, first=signal.SIGALRM)
            limit = math.inf
        elif now >= report:
            _log.info("still running after %.0f s; log: %s", now - begin, paths.stderr)
            report = now + _PROGRESS_SECONDS


def _wait_until(process: subprocess.Popen[bytes], deadline: float) -> _Ended | None:
    """Wait for the end of a child until `deadline` (of the monotonic clock); `None` when it still runs then."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        handle = None
    try:
        while True:
            ended = _collect(process)
            if ended is not None:
                return ended
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if handle is None:
                time.sleep(min(left, _POLL_SECONDS))
            else:
                select.select([handle], [], [], left)
    finally:
        if handle is not None:
            os.close(handle)


def _collect(process: subprocess.Popen[bytes]) -> _Ended | None:
    """Like `Popen.poll`, and with what the processes used."""
    try:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    except ChildProcessError:
        process.returncode = -1
        return _Ended(None, None)
    if pid == 0:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    return _Ended(process.returncode, usage)


def _peak_memory(ended: _Ended) -> int | None:
    """Bytes of the largest process of the job; `None` when that is not known.

    The runner began as a copy of this worker, and Linux goes on counting that copy's memory. So only what exceeds the
    worker's own peak is the job's.
    """
    if ended.usage is None or ended.usage.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        return None
    return ended.usage.ru_maxrss * _KIB


def _end_leftovers(token: str, grace: float) -> None:
    """End what the script left running: it must not write into outputs that count as done."""
    leftovers = job_processes(token)
    if not leftovers:
        return
    numbers = ", ".join(str(process.pid) for process in leftovers)
    _log.warning("the job's script has ended and left processes running: ending %s", numbers)
    if not terminate_job(token, grace=grace):
        raise StoreError(f"processes of the job could not be killed: {numbers}. Its claim stays until they have ended.")


def _kill_all(token: str, grace: float) -> None:
    try:
        gone = terminate_job(token, grace=grace)
    except BaseException:
        # Interrupted again: no patience any more.
        terminate_job(token, grace=0.0)
        raise
    if not gone:
        raise StoreError("processes of the interrupted job could not be killed. Its claim stays until they have ended.")


def _unrecorded(ended: _Ended, complaint: str, claim: Claim, started: float, offset: int) -> Attempt:
    """The outcome of an attempt whose runner wrote none: never a success."""
    said = f": {complaint}" if complaint else ""
    if ended.exit_code is not None and ended.exit_code >= 0:
        outcome, cause = "failed", f"the job runner could not record the outcome (exit code {ended.exit_code}){said}"
    else:
        number = f" by signal {-ended.exit_code}" if ended.exit_code else ""
        outcome = "cancelled"
        cause = f"the job runner was killed{number}, so nobody saw how the script would have ended{said}"
    return Attempt(
        token=claim.record.token,
        outcome="failed" if outcome == "failed" else "cancelled",
        cause=cause,
        started=started,
        ended=time.time(),
        host=claim.record.process.host,
        stderr_offset=offset,
        claim=claim.record,
    )


def _record(paths: JobPaths, attempt: Attempt) -> None:
    """Write the outcome in the runner's place, as far as the store lets us."""
    try:
        paths.success.unlink(missing_ok=True)
        write_attempt(paths.attempt, attempt)
        settle_markers(paths, attempt)
    except (StoreError, OSError) as error:
        _log.warning("the outcome could not be written down: %s", error)


def _add_to_record(paths: JobPaths, attempt: Attempt) -> None:
    """Write down what the runner could not know, as far as the store lets us."""
    try:
        write_attempt(paths.attempt, attempt)
    except StoreError as error:
        _log.warning("what the job has used could not be written down: %s", error)


def _text(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    return complaints.read(4096).decode("utf-8", "replace").strip()
