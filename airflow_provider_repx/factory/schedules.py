"""Schedules as configuration writes them, and as Airflow takes them."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Collection, Mapping
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.bases.timetable import BaseTimetable
from airflow.timetables.base import Timetable

from airflow_provider_repx.errors import TargetError

__all__ = ["active_runs_limit", "require_known_runs", "schedule_of"]

_ASSET = "asset:"
_TIMETABLE = "timetable:"
_CONTINUOUS = "@continuous"
# Presets of Airflow's that do not stand for a cron expression.
_NO_CRON = ("@once", _CONTINUOUS)


def schedule_of(value: Any, where: str) -> Any:
    """What Airflow's DAG takes as `schedule`.

    ``asset:<uri>`` becomes a reference to the asset with that URI, whatever its name; a list of them means all of them.
    ``timetable:<import path>`` becomes that timetable: an object, or a class that is called without arguments.
    Everything else, such as a cron expression, a preset, or an object given in Python, is passed on. Raises
    `TargetError`, which begins with `where`.
    """
    if isinstance(value, (list, tuple)):
        return [_one_of_several(item, where) for item in value] or None
    if not isinstance(value, str):
        # What configuration may hold by mistake; Airflow would not say which lab, or which run, is meant.
        if isinstance(value, (bool, int, float, dict)):
            raise TargetError(f"{where}: {value!r} is no schedule. Give a cron expression in quotes, or a preset.")
        return value
    text = value.strip()
    if not text:
        return None
    if text.startswith(_ASSET):
        return _asset(text, where)
    if text.startswith(_TIMETABLE):
        return _timetable(text.removeprefix(_TIMETABLE).strip(), where)
    if text not in _NO_CRON:
        _require_cron(text, where)
    return text


def active_runs_limit(schedule: Any) -> dict[str, Any]:
    """What a DAG needs beside `schedule`: Airflow refuses one that always begins anew without a limit."""
    limit = 1 if schedule == _CONTINUOUS else getattr(schedule, "active_runs_limit", None)
    return {} if limit is None else {"max_active_runs": limit}


def require_known_runs(schedules: Mapping[str, Any], runs: Collection[str], lab: str) -> None:
    """Refuse a schedule for a run that the lab does not have; raises `TargetError` that names the nearest."""
    for run in schedules:
        if run not in runs:
            nearest = difflib.get_close_matches(run, runs, n=1, cutoff=0.5)
            advice = f" (did you mean {nearest[0]!r}?)" if nearest else ""
            raise TargetError(
                f"lab {lab!r}: schedules: no run called {run!r}{advice}; runs: {', '.join(runs) or 'none'}"
            )


def _one_of_several(item: Any, where: str) -> Any:
    if isinstance(item, str) and not item.strip().startswith(_ASSET):
        raise TargetError(f"{where}: {item!r}: a list may only hold assets, each written as {_ASSET}<uri>.")
    return schedule_of(item, where)


def _require_cron(text: str, where: str) -> None:
    """Find a wrong expression before Airflow does, which would then refuse every DAG of the same file."""
    from airflow.timetables.trigger import CronTriggerTimetable  # noqa: PLC0415 - only those who give one pay for it

    try:
        CronTriggerTimetable(text, timezone="UTC").validate()
    except Exception as error:
        raise TargetError(
            f"{where}: {text!r} is no cron expression or preset ({error}). Give one, {_ASSET}<uri>, or"
            f" {_TIMETABLE}<import path>."
        ) from error


def _asset(text: str, where: str) -> Any:
    uri = text.removeprefix(_ASSET).strip()
    if not uri:
        raise TargetError(f"{where}: {text!r}: the asset's URI is missing, as in {_ASSET}repx://ising/simulation.")
    try:
        # Airflow stores assets under a normalized URI, and compares references as they are written.
        normalized = Asset(uri=uri).uri
    except ValueError as error:
        raise TargetError(f"{where}: {text!r}: {error}") from error
    return Asset.ref(uri=normalized)


def _timetable(path: str, where: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
        timetable = found() if isinstance(found, type) else found
    except Exception as error:
        raise TargetError(f"{where}: timetable {path!r} cannot be loaded: {error}") from error
    if not isinstance(timetable, (BaseTimetable, Timetable)):
        raise TargetError(f"{where}: {path!r} is a {type(timetable).__name__}, not a timetable.")
    return timetable
