"""Airflow itself: database, processes, limits, DAGs and pools."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

import psutil
from airflow.api.common.airflow_health import get_airflow_health
from airflow.models.dag import DagModel
from airflow.models.errors import ParseImportError
from airflow.sdk.configuration import conf
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_repx.cli.checks.finding import Finding, broken, ok, warning
from airflow_provider_repx.cli.labs import ChosenLab
from airflow_provider_repx.cli.tables import counted
from airflow_provider_repx.listeners import known_pools
from airflow_provider_repx.pools import planned_changes

__all__ = ["check_airflow", "check_dags", "check_import_errors", "check_pools"]

_COMMANDS = {"scheduler": "scheduler", "triggerer": "triggerer", "dag_processor": "dag-processor"}
_MINUTE = 60
_SPARE_FILES = 200
"""Open files of a triggerer besides one for each waiting job."""


def check_airflow(labs: Sequence[ChosenLab]) -> Iterator[Finding]:
    """Database, processes, and what limits the number of waiting jobs."""
    url = conf.get("database", "sql_alchemy_conn", fallback="")
    kind = url.partition(":")[0].partition("+")[0] or "unknown"
    if kind == "sqlite":
        yield warning("database", "SQLite will do for one machine and a few thousand tasks; use PostgreSQL for more")
    else:
        yield ok("database", kind)
    health = get_airflow_health()
    for name, command in _COMMANDS.items():
        entry = health[name]
        if entry["status"] == "healthy":
            yield ok(command, f"last heartbeat {_ago(entry[f'latest_{name}_heartbeat'])}")
        else:
            yield broken(command, f"none has given a sign of life lately; start `airflow {command}`")
    yield from _check_triggerer(labs)


def _ago(moment: str) -> str:
    """How long ago a moment in ISO format was, such as ``3 s ago``."""
    passed = datetime.now(timezone.utc) - datetime.fromisoformat(moment)
    seconds = max(0, round(passed.total_seconds()))
    return f"{seconds} s ago" if seconds < _MINUTE else f"{seconds // _MINUTE} min ago"


def _check_triggerer(labs: Sequence[ChosenLab]) -> Iterator[Finding]:
    """Each waiting job is a trigger, and each trigger holds an open log file."""
    capacity = conf.getint("triggerer", "capacity", fallback=1000)
    files = _open_files_limit()
    if files < capacity + _SPARE_FILES:
        yield warning(
            "triggerer limits",
            f"capacity {capacity}, but only {files} open files: above {max(0, files - _SPARE_FILES)} waiting jobs it"
            f" fails. Start it with `ulimit -n {capacity + _SPARE_FILES}` or more",
        )
    else:
        yield ok("triggerer limits", f"capacity {capacity}, {files} open files")
    for chosen in labs:
        widest = max((len(chosen.lab.run(name).jobs) for name in chosen.lab.run_names), default=0)
        if chosen.target.scheduler == "slurm" and widest > capacity:
            yield warning(
                "triggerer limits",
                f"lab {chosen.name}: a run has {counted(widest, 'job')}, of which {capacity} can wait at once:"
                " raise [triggerer] capacity, or start more triggerers",
            )


def _open_files_limit() -> int:
    """That of a triggerer on this machine, where one can be seen; else that of this process."""
    limits = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "triggerer" in words and any("airflow" in word for word in words):
            try:
                limits.append(process.rlimit(psutil.RLIMIT_NOFILE)[0])
            except (psutil.Error, OSError):
                continue
    return min(limits, default=resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def check_import_errors() -> Iterator[Finding]:
    """Whether all DAG files import."""
    with create_session() as session:
        files = sorted(filter(None, session.scalars(select(ParseImportError.filename)).all()))
    if files:
        yield broken("DAG files", f"do not import: {', '.join(files)}; `airflow dags list-import-errors` says why")
    else:
        yield ok("DAG files", "no import errors")


def check_dags(chosen: ChosenLab) -> Iterator[Finding]:
    """Whether Airflow knows the DAG of each run, and whether it is paused."""
    subject = f"DAGs of {chosen.name}"
    wanted = {chosen.dag_id(run): run for run in chosen.lab.run_names}
    with create_session() as session:
        rows = session.execute(
            select(DagModel.dag_id, DagModel.is_paused).where(DagModel.dag_id.in_(wanted), ~DagModel.is_stale)
        ).all()
    paused = sorted(dag_id for dag_id, is_paused in rows if is_paused)
    missing = sorted(wanted.keys() - {dag_id for dag_id, _ in rows})
    if missing:
        yield broken(
            subject,
            f"Airflow does not know {', '.join(missing)}. Put the lab's DAG file where Airflow finds DAGs;"
            " `airflow dags reserialize` reads it at once",
        )
    if paused:
        yield warning(
            subject, f"paused, so they stay queued when triggered: {', '.join(paused)}; `airflow dags unpause DAG_ID`"
        )
    if not missing and not paused:
        yield ok(subject, f"{counted(len(wanted), 'DAG')} known, none paused")


def check_pools() -> Iterator[Finding]:
    """Whether the pools exist that DAGs ask for: without, a task waits for ever."""
    wanted = list(known_pools())
    for change in planned_changes(wanted):
        yield warning(
            "pools",
            f"to be done: {change}. The scheduler does it when a DAG run starts; or run `airflow repx pools --apply`",
        )
    for plan in wanted:
        size = "of unknown size" if plan.slots is None else counted(plan.slots, "slot")
        yield ok("pools", f"{plan.name}: {size} ({plan.description})")
    if not wanted:
        yield warning("pools", "no DAG of a lab asks for a pool yet")
