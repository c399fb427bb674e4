"""A lab, a store and workers for one test; jobs that count their runs and wait at a gate."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from airflow_provider_repx.execution.jobs import JobOutcome, JobRequest, run_job
from airflow_provider_repx.execution.jobs.processes import job_processes
from airflow_provider_repx.execution.store import Claimant, JobPaths, OutputStore, read_claim
from airflow_provider_repx.execution.store.completion import read_completions
from airflow_provider_repx.lab import JobId, Lab, read_lab
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

ROOT = Path(__file__).resolve().parents[3]
RUN = "simulation"
PATIENCE = 30.0


def eventually(condition: Callable[[], Any], what: str = "the condition", patience: float = PATIENCE) -> Any:
    """Wait until `condition` holds, and return what it says."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true within {patience} s")


def lives(process: psutil.Process) -> bool:
    """Whether a process still does anything: a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def try_of(number: int, *, run_id: str = "manual", task_id: str = "simulate", map_index: int = 0) -> Claimant:
    return Claimant("repx_simulation", run_id, task_id, map_index, number)


class Worker:
    """A process that runs jobs, and can be killed."""

    def __init__(self, bench: Bench, environment: dict[str, str] | None = None) -> None:
        self.log = (bench.path / f"worker-{len(bench.workers)}.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.execution.worker", bench.lab.path, bench.store.base_path, RUN],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            start_new_session=True,
            env=os.environ | (environment or {}),
        )
        self.answer()

    def order(self, job: JobId, claimant: Claimant, **options: Any) -> None:
        order = {"job_id": job, "claimant": asdict(claimant), "options": options}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def answer(self, patience: float = PATIENCE) -> dict[str, Any]:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(patience), f"no answer within {patience} s; log:\n{self.said()}"
        line = self.process.stdout.readline()
        assert line, f"the worker has ended; log:\n{self.said()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def said(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text()

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.log):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()


@dataclass
class Bench:
    """Everything that one test needs. Add jobs first; the lab is written when it is first asked for."""

    path: Path
    specs: list[JobSpec] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    opened: Lab | None = None

    @property
    def store(self) -> OutputStore:
        return OutputStore(self.path / "base ü 'q\" $out")

    @property
    def lab(self) -> Lab:
        if self.opened is None:
            self.opened = read_lab(write_lab(self.path / "lab ü", [RunSpec(RUN, self.specs)]))
        return self.opened

    @property
    def gate(self) -> Path:
        return self.path / "gate"

    def add(self, name: str = "simulate-1.1", script: str = "", **fields: Any) -> JobId:
        """A job that counts its runs, notes when it runs twice at a time, and then does what `script` says."""
        job = job_id(name)
        counter, overlaps, lock = (shlex.quote(str(self.path / f"{job}.{end}")) for end in ("runs", "overlaps", "lock"))
        count = f"echo run >> {counter}\nexec 9> {lock}; flock -n 9 || echo overlap >> {overlaps}\n"
        self.specs.append(JobSpec(job, count + script, **fields))
        return JobId(job)

    @property
    def wait_at_gate(self) -> str:
        """What a job does to wait until the test lets it go on."""
        return f"while [ ! -e {shlex.quote(str(self.gate))} ]; do sleep 0.02; done"

    def runs(self, job: JobId) -> int:
        """How often a job was started; fails if it ever ran twice at the same time."""
        assert not (self.path / f"{job}.overlaps").exists()
        counter = self.path / f"{job}.runs"
        return len(counter.read_text().splitlines()) if counter.exists() else 0

    def paths(self, job: JobId) -> JobPaths:
        return self.store.job(job)

    def request(self, job: JobId, claimant: Claimant, **options: Any) -> JobRequest:
        return JobRequest(self.lab, RUN, job, self.store, claimant, **options)

    def run(self, job: JobId, claimant: Claimant | None = None, **options: Any) -> JobOutcome:
        return run_job(self.request(job, claimant or try_of(1), **options))

    def worker(self, environment: dict[str, str] | None = None) -> Worker:
        worker = Worker(self, environment)
        self.workers.append(worker)
        return worker

    def started(self, job: JobId, runs: int = 1) -> list[psutil.Process]:
        """Wait until the job has begun for the `runs`-th time; its processes, the runner first."""
        eventually(lambda: self.runs(job) >= runs, "the start of the job")
        return self.processes(job)

    def processes(self, job: JobId) -> list[psutil.Process]:
        return self.processes_of(self.paths(job).claim)

    def processes_of(self, claim: Path) -> list[psutil.Process]:
        record = read_claim(claim)
        return job_processes(record.token) if record else []

    def completions(self) -> dict[JobId, bool]:
        return dict(read_completions(self.store))

    def close(self) -> None:
        self.gate.touch()
        for worker in self.workers:
            worker.close()
        for claim in self.store.outputs.glob("**/repx/claim"):
            for process in self.processes_of(claim):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
