"""Plans of large runs, kept in the user's cache folder: every task's process reads its DAG file anew.

A plan is found by everything that it depends on: the run's checksum in the lab's manifest, target, options, resource
rules, and the code that plans. So nothing in the cache is ever out of date. A file that was damaged is made anew; one
that cannot be written is done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store.files import make_folder, write_atomically
from airflow_provider_repx.lab import Lab
from airflow_provider_repx.plan import PlanOptions, RunPlan
from airflow_provider_repx.plan.plan_text import plan_from_text, plan_to_text
from airflow_provider_repx.targets import ResourceRules, Target

__all__ = ["cache_folder", "cached_plan"]

_log = logging.getLogger(__name__)

_PACKAGE = "airflow-provider-repx"

_LEAST_JOBS = 500
"""Smaller runs are planned in milliseconds."""

_KEPT = 64
"""Files of the cache; those that were written first go first."""


def cache_folder() -> Path:
    """Where plans are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / _PACKAGE / "plans"


def cached_plan(lab: Lab, run: str, target: Target, options: PlanOptions, rules: ResourceRules) -> RunPlan:
    """The plan of a run, from the cache or made now; raises like `PlanOptions.plan`."""
    checksum = lab.checksum_of_run(run)
    path = None if checksum is None else _path(lab, run, checksum, target, options, rules)
    if path is not None:
        found = _read(path)
        if found is not None and (found.lab_id, found.run, found.target) == (lab.lab_id, run, target.name):
            return found
    plan = options.plan(lab, run, target, rules)
    if path is not None and len(lab.run(run).jobs) >= _LEAST_JOBS:
        _write(path, plan)
    return plan


def _path(lab: Lab, run: str, checksum: str, target: Target, options: PlanOptions, rules: ResourceRules) -> Path | None:
    parts = [_code(), lab.lab_id, run, checksum, target.model_dump_json(), options.model_dump_json(), repr(rules)]
    try:
        return cache_folder() / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}.json"
    except RuntimeError:
        # A user without a home.
        return None


@cache
def _code() -> str:
    """The code that plans: the package's version, and what tells its working copies apart."""
    import airflow_provider_repx.plan as package  # noqa: PLC0415 - only for where it is

    with contextlib.suppress(PackageNotFoundError):
        folder = Path(package.__path__[0])
        files = sorted((file.name, file.stat().st_mtime_ns) for file in folder.glob("*.py"))
        return f"{version(_PACKAGE)} {files}"
    return ""


def _read(path: Path) -> RunPlan | None:
    try:
        digest, _, text = path.read_text(encoding="utf-8").partition("\n")
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            return None
        return plan_from_text(text)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write(path: Path, plan: RunPlan) -> None:
    text = plan_to_text(plan)
    try:
        make_folder(path.parent)
        path.parent.chmod(0o700)
        write_atomically(path, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}".encode(), mode=0o600)
        _forget_oldest(path.parent)
    except (OSError, StoreError) as error:
        _log.debug("the plan is not kept: %s", error)


def _forget_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    for file in files[:-_KEPT]:
        file.unlink(missing_ok=True)
