"""`airflow repx status`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.find import require_jobs
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab, lab_option
from airflow_provider_repx.cli.progress import Progress, Watch, elapsed
from airflow_provider_repx.cli.tables import clean, print_json, print_table
from airflow_provider_repx.errors import CommandLineError

if TYPE_CHECKING:
    from airflow_provider_repx.cli.airflow_dags import DagRunView

__all__ = ["RunWatch", "exit_code_of", "status"]

_POLL_SECONDS = 2.0
_REMOTE_SECONDS = 5.0
"""Between questions to a store on another machine."""


@dataclass(frozen=True)
class RunWatch:
    """One DAG run of a run, and its jobs; `note` is what a person should know about the numbers."""

    run: str
    look_at_dag_run: Callable[[], DagRunView]
    jobs: Watch
    note: str = ""


@command
def status(arguments: argparse.Namespace) -> int:
    """Print how far a run is, once or until it has ended."""
    from airflow_provider_repx.cli.airflow_dags import find_dag_run  # noqa: PLC0415 - needs Airflow's database

    if arguments.follow and arguments.output == "json":
        raise CommandLineError("--follow prints while time goes by, so it goes with --output table only.")
    chosen = choose_lab(arguments)
    run = chosen.lab.run(arguments.run).name
    watch = watch_of(chosen, run, find_dag_run(chosen.dag_id(run), arguments.dag_run))
    if arguments.output == "json":
        print_json(_describe(watch))
        return 0
    if watch.note:
        print(watch.note, file=sys.stderr)
    code = _follow(watch) if arguments.follow else _print_once(watch)
    _say_where_to_look(watch, lab_option(arguments))
    return code


def _say_where_to_look(watch: RunWatch, lab: str) -> None:
    """After a DAG run that failed."""
    from airflow_provider_repx.cli.failures import where_to_look  # noqa: PLC0415 - needs Airflow's database

    dag_run = watch.look_at_dag_run()
    if dag_run.state == "failed":
        for hint in where_to_look(dag_run, watch.run, lab, failed_jobs=watch.jobs.look(fresh=False).total("failed")):
            print(clean(hint), file=sys.stderr)


def watch_of(chosen: ChosenLab, run: str, dag_run: DagRunView, *, from_its_start: bool = False) -> RunWatch:
    """Look at a DAG run and the jobs that it asks for, in the lab as it is now.

    Failures of before an active DAG run do not count, nor, with `from_its_start`, those of before one that has ended.
    """
    from airflow_provider_repx.cli.airflow_dags import watch_dag_run, xcom  # noqa: PLC0415 - needs Airflow's database
    from airflow_provider_repx.operators.base import LAB_ID_KEY, OPEN_LAB_TASK_ID  # noqa: PLC0415 - loads Airflow

    lab_id = xcom(dag_run.dag_id, dag_run.run_id, OPEN_LAB_TASK_ID, LAB_ID_KEY)
    note = ""
    if lab_id not in (None, chosen.lab.lab_id):
        note = (
            f"[WARNING] this DAG run is about lab {chosen.name!r} as {lab_id}, which is {chosen.lab.lab_id} by now: the"
            " jobs are those of the lab as it is now."
        )
    wanted = require_jobs(chosen.lab.run(run), dag_run.conf.get("jobs") or [])
    started = dag_run.started if dag_run.active or from_its_start else None
    since = started.timestamp() if started is not None else 0.0
    interval = _REMOTE_SECONDS if chosen.target.is_remote else 0.0
    jobs = Watch(chosen.lab.run(run), wanted, chosen.store, since, interval)
    return RunWatch(run, lambda: watch_dag_run(dag_run.dag_id, dag_run.run_id), jobs, note)


def exit_code_of(dag_run: DagRunView) -> int:
    """0 for a DAG run that succeeded, 1 for any other."""
    return 0 if dag_run.state == "success" else 1


def _describe(watch: RunWatch) -> dict[str, Any]:
    dag_run = watch.look_at_dag_run()
    progress = watch.jobs.look()
    return {
        "run": watch.run,
        "dag_id": dag_run.dag_id,
        "dag_run_id": dag_run.run_id,
        "state": dag_run.state,
        "started": None if dag_run.started is None else dag_run.started.isoformat(),
        "ended": None if dag_run.ended is None else dag_run.ended.isoformat(),
        "stages": progress.to_json(),
    }


def _print_once(watch: RunWatch) -> int:
    dag_run = watch.look_at_dag_run()
    print(_headline(dag_run))
    print_table(_rows(watch.jobs.look()))
    return 0


def _follow(watch: RunWatch) -> int:
    return _follow_in_place(watch) if sys.stdout.isatty() else _follow_in_lines(watch)


def _follow_in_lines(watch: RunWatch) -> int:
    """Print a line whenever something has changed, for logs and pipes."""
    shown = ""
    while True:
        dag_run = watch.look_at_dag_run()
        line = f"{dag_run.run_id}: {dag_run.state}, {watch.jobs.look(fresh=not dag_run.active).line()}"
        if line != shown:
            print(line, flush=True)
            shown = line
        if not dag_run.active:
            return exit_code_of(dag_run)
        time.sleep(_POLL_SECONDS)


def _follow_in_place(watch: RunWatch) -> int:
    from rich.console import Console, Group  # noqa: PLC0415 - keeps other commands quick to start
    from rich.live import Live  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    def picture(dag_run: DagRunView, progress: Progress) -> Group:
        rows = _rows(progress)
        table = Table(box=None, pad_edge=False)
        for name in rows[0]:
            table.add_column(name, justify="left" if name == "stage" else "right")
        for row in rows[1:]:
            table.add_row(*map(Text, row))
        return Group(Text(_headline(dag_run)), table)

    with Live(console=Console(highlight=False), auto_refresh=False) as live:
        while True:
            dag_run = watch.look_at_dag_run()
            live.update(picture(dag_run, watch.jobs.look(fresh=not dag_run.active)), refresh=True)
            if not dag_run.active:
                return exit_code_of(dag_run)
            time.sleep(_POLL_SECONDS)


def _headline(dag_run: DagRunView) -> str:
    took = elapsed(dag_run.started, dag_run.ended)
    return f"{dag_run.dag_id}, DAG run {dag_run.run_id}: {dag_run.state}" + (f", {took}" if took else "")


def _rows(progress: Progress) -> list[list[str]]:
    names = ("jobs", "succeeded", "running", "failed", "pending")
    rows = [["stage", *names]]
    rows += [[stage.stage, *(str(getattr(stage, name)) for name in names)] for stage in progress.stages]
    if len(progress.stages) > 1:
        rows.append(["all", *(str(progress.total(name)) for name in names)])
    return rows
