"""A worker process for tests: runs jobs as told on standard input, one JSON object per line, and answers likewise."""

from __future__ import annotations

import json
import logging
import signal
import sys
from functools import partial
from pathlib import Path

from airflow_provider_repx.execution.jobs import JobRequest, cancel_local, run_job
from airflow_provider_repx.execution.store import Claimant, OutputStore
from airflow_provider_repx.lab import JobId, read_lab


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _on_kill(request: JobRequest, *_: object) -> None:
    cancel_local(request.store, request.job_id, request.claimant, grace=request.grace)


def main(lab_path: str, base_path: str, run: str) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    lab = read_lab(Path(lab_path))
    store = OutputStore(Path(base_path))
    _say({"ready": True})
    for line in sys.stdin:
        order = json.loads(line)
        request = JobRequest(
            lab=lab,
            run=run,
            job_id=JobId(order["job_id"]),
            store=store,
            claimant=Claimant(**order["claimant"]),
            **order["options"],
        )
        # As Airflow's workers do: `on_kill` is called within the handler, and then `execute` goes on.
        signal.signal(signal.SIGTERM, partial(_on_kill, request))
        try:
            outcome = run_job(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shall see it
            _say({"error": repr(error)})
        else:
            answer = outcome.summary() | {
                "cause": outcome.cause,
                "holder": outcome.holder,
                "stderr_tail": outcome.stderr_tail,
            }
            _say(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
