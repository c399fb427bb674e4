"""How far the parts of a scatter-gather job are, while the job itself is not done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_repx.execution.store.claim import claim_is_live
from airflow_provider_repx.execution.store.job_paths import JobPaths

__all__ = ["failed_part", "is_any_part_running"]

_STEP = "step-"


def failed_part(paths: JobPaths) -> JobPaths | None:
    """The first part of a job that has failed: scatter, or a step of the first branch where one did.

    `None` also for simple jobs. Branches beyond the present work items do not count.
    """
    scatter = JobPaths(paths.root / "scatter")
    if not scatter.root.is_dir():
        return None
    if scatter.fail.exists():
        return scatter
    return next((step for step in _steps(paths) if step.fail.exists()), None)


def is_any_part_running(paths: JobPaths) -> bool:
    """Whether somebody alive holds the claim of a part of a job; false for simple jobs."""
    scatter = JobPaths(paths.root / "scatter")
    if not scatter.root.is_dir():
        return False
    return claim_is_live(scatter.claim) or any(claim_is_live(step.claim) for step in _steps(paths))


def _steps(paths: JobPaths) -> Iterator[JobPaths]:
    for number in range(_branches(paths)):
        branch = paths.branch(number)
        for name in _folders(branch):
            if name.startswith(_STEP):
                yield JobPaths(branch / name)


def _branches(paths: JobPaths) -> int:
    try:
        items = json.loads(paths.work_items.read_bytes())
    except (OSError, ValueError, RecursionError):
        return 0
    return len(items) if isinstance(items, list) else 0


def _folders(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.iterdir())
    except OSError:
        return []
