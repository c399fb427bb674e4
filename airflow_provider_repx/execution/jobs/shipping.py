"""The job runner: one bash script, kept in each store once per version."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from airflow_provider_repx.execution.store.files import make_folder, write_atomically
from airflow_provider_repx.execution.store.layout import OutputStore

__all__ = ["runner_script", "ship_runner"]


@cache
def runner_script() -> bytes:
    """The content of the job runner."""
    return (files("airflow_provider_repx.execution.jobs") / "runner.sh").read_bytes()


def ship_runner(store: OutputStore) -> Path:
    """Put the job runner into a store unless this version is there, and return its path.

    The folder is named after the SHA-256 of the script, so an upgrade never changes a runner that is in use. Raises
    `StoreError`.
    """
    path = store.runners / hashlib.sha256(runner_script()).hexdigest() / "job-runner"
    if not path.exists():
        make_folder(path.parent)
        write_atomically(path, runner_script(), mode=0o555)
    return path
