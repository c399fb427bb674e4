"""`airflow repx cancel`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.find import match_jobs
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab
from airflow_provider_repx.cli.parts import name_of, units_of, work_items
from airflow_provider_repx.cli.tables import counted, print_json, print_table
from airflow_provider_repx.errors import DagError
from airflow_provider_repx.execution.units import Unit
from airflow_provider_repx.lab import JobId, Run

if TYPE_CHECKING:
    from airflow_provider_repx.cli.airflow_dags import DagRunView
    from airflow_provider_repx.started_runs import StartedRun

__all__ = ["cancel"]

_POLL_SECONDS = 0.5
_REMOTE_POLL_SECONDS = 2.0
_SHOWN = 10
_PATIENCE_SECONDS = 120.0


@command
def cancel(arguments: argparse.Namespace) -> int:
    """Mark DAG runs, or the tasks of some jobs, as failed."""
    from airflow_provider_repx.cli.airflow_dags import fail_dag_run, fail_tasks  # noqa: PLC0415 - needs the database

    chosen = choose_lab(arguments)
    run = chosen.lab.run(arguments.run)
    jobs = match_jobs(run, arguments.jobs) if arguments.jobs else ()
    active = _active(chosen, run, arguments.dag_run)
    rows: list[dict[str, Any]] = []
    for dag_run in active:
        with_it: Sequence[StartedRun] = ()
        if jobs:
            tasks = _tasks_of(chosen, run, dag_run, jobs)
            changed = fail_tasks(dag_run.dag_id, dag_run.run_id, tasks)
        else:
            changed, with_it = fail_dag_run(dag_run.dag_id, dag_run.run_id)
        rows.append({"dag_id": dag_run.dag_id, "dag_run_id": dag_run.run_id, "tasks": changed})
        # What it had started, and nobody else waits for.
        rows += [{"dag_id": other.dag_id, "dag_run_id": other.run_id, "tasks": None} for other in with_it]
    if arguments.output == "json":
        print_json(rows)
    elif rows:
        print_table([["dag", "cancelled dag run", "tasks changed"], *map(_cells, rows)])
    else:
        print(f"No DAG run of {chosen.dag_id(run.name)} is queued or running: nothing to do.")
    return _wait(chosen, run, active, jobs) if arguments.wait else 0


def _cells(row: dict[str, Any]) -> list[str]:
    return [row["dag_id"], row["dag_run_id"], "with it" if row["tasks"] is None else str(row["tasks"])]


def _active(chosen: ChosenLab, run: Run, run_id: str | None) -> Sequence[DagRunView]:
    from airflow_provider_repx.cli.airflow_dags import (  # noqa: PLC0415 - needs Airflow's database
        active_dag_runs,
        find_dag_run,
        require_dag,
    )

    dag_id = chosen.dag_id(run.name)
    if run_id is None:
        active = active_dag_runs(dag_id)
        if not active:
            require_dag(dag_id)
        return active
    found = find_dag_run(dag_id, run_id)
    return [found] if found.active else []


def _tasks_of(
    chosen: ChosenLab, run: Run, dag_run: DagRunView, jobs: Sequence[JobId]
) -> Mapping[str, Collection[int] | None]:
    """The task instances that hold jobs, as map indices (`None`: all) by task id.

    Raises `DagError` where the DAG run was planned in another way than the lab is now.
    """
    from airflow_provider_repx.cli.airflow_dags import xcom  # noqa: PLC0415 - needs Airflow's database
    from airflow_provider_repx.operators.base import OPEN_LAB_TASK_ID, PLAN_KEY  # noqa: PLC0415 - loads Airflow

    plan = chosen.plan(run.name)
    planned = xcom(dag_run.dag_id, dag_run.run_id, OPEN_LAB_TASK_ID, PLAN_KEY)
    if planned not in (None, plan.fingerprint):
        raise DagError(
            f"DAG run {dag_run.run_id} was made from another version of the lab, or with other settings, so its tasks"
            " are not known here. Cancel the whole DAG run, or the tasks in Airflow's web interface."
        )
    wanted = frozenset(jobs)
    found: dict[str, Collection[int] | None] = {}
    for chain in plan.chains:
        for stage in chain.stages:
            if indices := _indices(stage.task_id, stage.jobs, wanted, chain.chunk):
                found[stage.task_id] = indices if chain.width > 1 else [-1]
    for group in plan.scatter_gathers:
        if len(group.jobs) == 1 and wanted.issuperset(group.jobs):
            found.update(dict.fromkeys(group.task_ids))
        elif indices := _indices(group.scatter.task_id, group.jobs, wanted, group.chunk):
            found.update(dict.fromkeys((group.scatter.task_id, group.gather.task_id), indices))
            # Which steps belong to which job is known from the claims of those that run.
            for task_id, index in _steps_under_way(chosen, run, dag_run, _among(group.jobs, wanted)):
                found[task_id] = {index, *(found.get(task_id) or ())}
    return found


def _among(jobs: Sequence[JobId], wanted: Collection[JobId]) -> list[JobId]:
    return [job for job in jobs if job in wanted]


def _indices(task_id: str, held: Sequence[JobId], wanted: Collection[JobId], chunk: int) -> list[int]:
    """The map indices of a task that hold wanted jobs; warns of others that they hold as well."""
    points = [point for point, job in enumerate(held) if job in wanted]
    indices = sorted({point // chunk for point in points})
    others = sum(min(chunk, len(held) - index * chunk) for index in indices) - len(points)
    if others:
        print(f"[WARNING] {task_id}: {counted(others, 'other job')} in the same tasks end too.", file=sys.stderr)
    return indices


def _steps_under_way(
    chosen: ChosenLab, run: Run, dag_run: DagRunView, jobs: Sequence[JobId]
) -> Iterator[tuple[str, int]]:
    steps = [unit.paths(chosen.store) for unit in _units(chosen, run, jobs) if unit.part == "step"]
    for claim in chosen.store.claims(steps).values():
        holder = claim.claimant
        if (holder.dag_id, holder.run_id) == (dag_run.dag_id, dag_run.run_id):
            yield holder.task_id, holder.map_index


def _units(chosen: ChosenLab, run: Run, jobs: Sequence[JobId]) -> Sequence[Unit]:
    """Everything that is claimed by itself: simple jobs, and the parts of the others."""
    items = work_items(chosen.store, [job for job in jobs if run.jobs[job].stage_type != "simple"])
    return [
        unit for job in jobs for unit in units_of(job, run.jobs[job], len(items.get(job, ()))) or (Unit(job, "main"),)
    ]


def _wait(chosen: ChosenLab, run: Run, dag_runs: Sequence[DagRunView], jobs: Sequence[JobId]) -> int:
    """Wait until no job is claimed by a cancelled DAG run any more; 1 where some still are after a while."""
    cancelled = {(dag_run.dag_id, dag_run.run_id) for dag_run in dag_runs}
    deadline = time.monotonic() + _PATIENCE_SECONDS
    pause = _REMOTE_POLL_SECONDS if chosen.target.is_remote else _POLL_SECONDS
    while left := _claimed(chosen, run, jobs or tuple(run.jobs), cancelled):
        if time.monotonic() > deadline:
            more = f", and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            print(
                f"[ERROR] still running after {_PATIENCE_SECONDS:.0f} s: {', '.join(left[:_SHOWN])}{more}.",
                file=sys.stderr,
            )
            return 1
        time.sleep(pause)
    return 0


def _claimed(chosen: ChosenLab, run: Run, jobs: Sequence[JobId], by: set[tuple[str, str]]) -> list[str]:
    units = {unit.paths(chosen.store): unit for unit in _units(chosen, run, jobs)}
    claims = chosen.store.claims(units)
    return [
        name_of(units[folder])
        for folder, claim in claims.items()
        if (claim.claimant.dag_id, claim.claimant.run_id) in by
    ]
