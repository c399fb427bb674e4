"""Jobs for a real cluster that count their runs and wait at gates, and processes that run them and can be killed."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from airflow_provider_repx.execution.slurm import (
    Directives,
    JobKey,
    PoolShare,
    Progress,
    SlurmCluster,
    SlurmJob,
    SlurmOutcome,
    SlurmSettings,
)
from airflow_provider_repx.execution.store import Claimant, JobPaths, OutputStore
from airflow_provider_repx.execution.store.completion import read_completions
from airflow_provider_repx.execution.transport import Transport
from airflow_provider_repx.lab.models import JobId
from airflow_provider_repx.targets import Resources
from tools.cluster import ThrowawaySlurm

ROOT = Path(__file__).resolve().parents[4]
PATIENCE = 60.0


def eventually(condition: Callable[[], Any], what: str = "the condition", patience: float = PATIENCE) -> Any:
    """Wait until `condition` holds, and return what it says."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {patience} s")


def try_of(number: int = 1, *, run_id: str = "manual", map_index: int = 0) -> Claimant:
    return Claimant("repx_simulation", run_id, "simulate", map_index, number)


@dataclass
class Farm:
    """A store, a cluster, and jobs in it."""

    path: Path
    slurm: ThrowawaySlurm
    connect: Callable[[], Transport]
    is_local: bool = True
    settings: SlurmSettings = field(init=False)
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = SlurmSettings(
            self.path / "base ü 'q\" $x %a",
            first_poll=0.2,
            last_poll=1.0,
            window=0.1,
            marker_grace=3.0,
            unknown_deadline=6.0,
            command_timeout=20.0,
        )

    @property
    def store(self) -> OutputStore:
        return OutputStore(self.settings.base_path)

    @property
    def gate(self) -> Path:
        return self.path / "gate"

    @property
    def wait_at_gate(self) -> str:
        """What a job does to wait until the test lets it go on."""
        return f"while [[ ! -e {shlex.quote(str(self.gate))} ]]; do sleep 0.05; done"

    def job(
        self,
        name: str = "simulate-1.1",
        script: str = "",
        *,
        claimant: Claimant | None = None,
        share: PoolShare | None = None,
        force: bool = False,
        **resources: Any,
    ) -> SlurmJob:
        """A job that counts its runs, notes when it runs twice at a time, and then does what `script` says."""
        counter, overlaps, lock = (
            shlex.quote(str(self.path / f"{name}.{end}")) for end in ("runs", "overlaps", "lock")
        )
        executable = self.path / f"{name}.sh"
        text = f"echo run >> {counter}\nexec 9> {lock}; flock -n 9 || echo overlap >> {overlaps}\n{script}\n"
        # A shell reads its script while it runs: what runs now must keep its own.
        fresh = executable.with_suffix(".new")
        fresh.write_text(f"#!/bin/bash\n{text}")
        fresh.chmod(0o755)
        fresh.rename(executable)
        paths = self.store.job(name)
        return SlurmJob(
            name=name,
            paths=paths,
            executable=executable,
            inputs=paths.inputs,
            parameters=paths.parameters,
            directives=Directives.of(Resources(**resources)),
            claimant=claimant or try_of(),
            files={paths.inputs: b'{"start": "x"}', paths.parameters: b"{}"},
            completes=JobId(name),
            share=share,
            force=force,
        )

    def runs(self, name: str = "simulate-1.1") -> int:
        """How often a job was started; fails if it ever ran twice at the same time."""
        assert not (self.path / f"{name}.overlaps").exists()
        counter = self.path / f"{name}.runs"
        return len(counter.read_text().splitlines()) if counter.exists() else 0

    def paths(self, name: str = "simulate-1.1") -> JobPaths:
        return self.store.job(name)

    def cluster(self, **changes: Any) -> SlurmCluster:
        return SlurmCluster(replace(self.settings, **changes), self.connect())

    def together(self, scenario: Callable[[SlurmCluster], Coroutine[Any, Any, Any]], **changes: Any) -> Any:
        """Run a scenario with a cluster object of its own, which is closed then."""

        async def run() -> Any:
            cluster = self.cluster(**changes)
            try:
                return await asyncio.wait_for(scenario(cluster), 2 * PATIENCE)
            finally:
                await cluster.close()

        return asyncio.run(run())

    def run(self, *jobs: SlurmJob, **changes: Any) -> list[SlurmOutcome]:
        """Run jobs at once; their outcomes in order."""

        async def scenario(cluster: SlurmCluster) -> list[SlurmOutcome]:
            return list(await asyncio.gather(*(cluster.run(job) for job in jobs)))

        outcomes: list[SlurmOutcome] = self.together(scenario, **changes)
        return outcomes

    def run_one(self, job: SlurmJob, **changes: Any) -> SlurmOutcome:
        return self.run(job, **changes)[0]

    def completions(self) -> dict[JobId, bool]:
        return dict(read_completions(self.store))

    def worker(self) -> Worker:
        worker = Worker(self)
        self.workers.append(worker)
        return worker

    def arrays(self) -> list[str]:
        """The numbers of the arrays in the queue."""
        return sorted(set(self.slurm.run("squeue", "-h", "-o", "%F").stdout.split()))

    def when_saved(self) -> None:
        """Wait until a restarted controller will know what it knows now: it saves its state every few seconds."""
        state = self.slurm.folder / "state" / "job_state"
        begin = time.time()
        eventually(lambda: state.exists() and state.stat().st_mtime > begin, "the controller's saved state")

    def close(self) -> None:
        self.gate.touch()
        for worker in self.workers:
            worker.close()


class Worker:
    """A process with a cluster object of its own."""

    def __init__(self, farm: Farm) -> None:
        self.log = (farm.path / f"worker-{len(farm.workers)}.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.execution.slurm.worker", farm.settings.base_path],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            start_new_session=True,
            env=os.environ | dict(farm.slurm.env),
        )
        self._answers: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def order(self, *jobs: SlurmJob) -> None:
        """Run jobs; each is answered when it is over."""
        for job in jobs:
            order = {
                "name": job.name,
                "executable": str(job.executable),
                "claimant": asdict(job.claimant),
                "options": [list(option) for option in job.directives.options],
            }
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()

    def answer(self, patience: float = PATIENCE) -> dict[str, Any]:
        """The outcome of whichever job is over next."""
        try:
            line = self._answers.get(timeout=patience)
        except queue.Empty:
            raise AssertionError(f"no answer within {patience} s; log:\n{self.said()}") from None
        assert line, f"the worker has ended; log:\n{self.said()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def said(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._listener.join(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.log):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()


class Witness:
    """Remembers what is reported of a job."""

    def __init__(self) -> None:
        self.seen: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        self.seen.append(progress)

    @property
    def texts(self) -> str:
        return "\n".join(progress.text for progress in self.seen)

    async def until(self, text: str) -> Progress:
        """Wait until something is reported that contains a text."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for progress in self.seen:
                if text in progress.text:
                    return progress
            await asyncio.sleep(0.05)
        raise AssertionError(f"{text!r} was never reported, but:\n{self.texts}")


async def when(condition: Callable[[], Any], what: str = "the condition") -> None:
    """Wait for a condition without stopping what goes on."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {PATIENCE} s"
        await asyncio.sleep(0.05)


def key_of(job: SlurmJob) -> JobKey:
    return JobKey(job.claimant, job.paths)
