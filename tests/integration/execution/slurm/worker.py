"""Runs the jobs that it is told about on stdin, one JSON object a line, and answers each with its outcome."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from airflow_provider_repx.execution.slurm import Directives, Progress, SlurmCluster, SlurmJob, SlurmSettings
from airflow_provider_repx.execution.store import Claimant, OutputStore
from airflow_provider_repx.execution.transport import LocalTransport
from airflow_provider_repx.lab.models import JobId


def job_of(order: dict[str, Any], store: OutputStore) -> SlurmJob:
    paths = store.job(order["name"])
    return SlurmJob(
        name=order["name"],
        paths=paths,
        executable=Path(order["executable"]),
        inputs=paths.inputs,
        parameters=paths.parameters,
        directives=Directives(tuple((name, value) for name, value in order["options"])),
        claimant=Claimant(**order["claimant"]),
        files={paths.inputs: b"{}", paths.parameters: b"{}"},
        completes=JobId(order["name"]),
    )


async def main() -> None:
    logging.basicConfig(level=logging.INFO)
    settings = SlurmSettings(
        Path(sys.argv[1]), first_poll=0.2, last_poll=1.0, window=0.1, marker_grace=3.0, unknown_deadline=6.0
    )
    cluster = SlurmCluster(settings, LocalTransport())
    loop = asyncio.get_running_loop()
    tasks = set()

    async def run(job: SlurmJob) -> None:
        def report(progress: Progress) -> None:
            sys.stderr.write(f"{job.name} {progress.text}\n")
            sys.stderr.flush()

        try:
            answer = (await cluster.run(job, report)).summary()
        except Exception as error:  # noqa: BLE001 - the test wants to know
            answer = {"job": job.name, "error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = asyncio.create_task(run(job_of(json.loads(line), OutputStore(settings.base_path))))
        tasks.add(task)


if __name__ == "__main__":
    asyncio.run(main())
