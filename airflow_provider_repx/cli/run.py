"""`airflow repx run`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.find import find_job, find_runs, require_jobs
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab
from airflow_provider_repx.cli.tables import print_json, print_table
from airflow_provider_repx.errors import CommandLineError, LabLookupError
from airflow_provider_repx.lab import Lab

__all__ = ["Wish", "run", "wishes"]


@dataclass(frozen=True)
class Wish:
    """A run to be triggered; `jobs` are patterns, none for all jobs, and `after` the wished runs that it needs."""

    run: str
    jobs: tuple[str, ...]
    after: tuple[str, ...]


@command
def run(arguments: argparse.Namespace) -> int:
    """Trigger runs; with `--wait`, follow them until all have ended."""
    chosen = choose_lab(arguments)
    groups = [f"@{group.removeprefix('@')}" for group in arguments.group]
    wished = wishes(chosen.lab, [*arguments.spec, *groups], arguments.jobs)
    from airflow_provider_repx.cli.airflow_dags import require_dag, trigger_dag  # noqa: PLC0415 - needs the database

    # Before the first is triggered, so that nothing is begun that cannot be ended.
    for wish in wished:
        require_dag(chosen.dag_id(wish.run), unpaused=True)
    confs = {wish.run: _conf(chosen, wish, arguments) for wish in wished}
    if arguments.wait:
        from airflow_provider_repx.cli.following import follow  # noqa: PLC0415 - only here

        return follow(chosen, wished, confs, arguments)
    made = [
        {"run": wish.run, "dag_id": chosen.dag_id(wish.run), "dag_run_id": trigger_dag(chosen.dag_id(wish.run), conf)}
        for wish, conf in ((wish, confs[wish.run]) for wish in wished)
    ]
    if arguments.output == "json":
        print_json(made)
    else:
        print_table([["run", "dag", "dag run"], *(list(row.values()) for row in made)])
    return 0


def wishes(lab: Lab, specs: Sequence[str], patterns: Sequence[str]) -> tuple[Wish, ...]:
    """What a command line asks for, upstream runs first.

    Raises `CommandLineError` or `LabLookupError` for what is not in the lab, or no SPEC at all.
    """
    if not specs:
        runs = ", ".join(lab.run_names)
        raise CommandLineError(f"name what to run: runs ({runs}), @GROUP, or the beginning of a job's id.")
    whole: dict[str, tuple[str, ...]] = {}
    single: dict[str, tuple[str, ...]] = {}
    for spec in specs:
        if spec.startswith("@") or spec in lab.run_names:
            whole.update(dict.fromkeys(find_runs(lab, [spec]), ()))
        else:
            name, job_id = _job(lab, spec)
            single[name] = (*single.get(name, ()), job_id)
    # A whole run includes its jobs.
    jobs = {**single, **(_restricted(lab, tuple(whole), patterns) if patterns else whole)}
    wanted = find_runs(lab, jobs)
    return tuple(Wish(name, jobs[name], _needed(lab, name, wanted)) for name in wanted)


def _job(lab: Lab, spec: str) -> tuple[str, str]:
    try:
        found = find_job(lab, spec)
    except CommandLineError as error:
        if any(job.startswith(spec) for name in lab.run_names for job in lab.run(name).jobs):
            raise
        # It was meant as a run, most likely.
        try:
            lab.run(spec)
        except LabLookupError as unknown:
            raise unknown from error
        raise
    return found.run.name, found.job_id


def _restricted(lab: Lab, runs: Sequence[str], patterns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Those of the runs that have such jobs, each with the patterns that match there; each has to match somewhere."""
    found: dict[str, tuple[str, ...]] = {}
    for pattern in patterns:
        problems = []
        for name in runs:
            try:
                require_jobs(lab.run(name), [pattern])
                found[name] = (*found.get(name, ()), pattern)
            except LabLookupError as error:  # noqa: PERF203 - each run has its own outcome
                problems.append(error)
        if runs and len(problems) == len(runs):
            raise problems[0]
    return found


def _needed(lab: Lab, name: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """The wished runs that a run depends on, hard, directly or through others that are not wished."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for dependency in lab.run(waiting.pop()).dependencies:
            if dependency.kind == "hard" and dependency.run not in seen:
                seen.add(dependency.run)
                waiting.append(dependency.run)
                if dependency.run in wanted:
                    found.add(dependency.run)
    return tuple(other for other in wanted if other in found)


def _conf(chosen: ChosenLab, wish: Wish, arguments: argparse.Namespace) -> Mapping[str, object]:
    from airflow_provider_repx.asked import LAB_ID_CONF  # noqa: PLC0415 - loads Airflow

    return {
        "force": arguments.force,
        "continue_on_failure": arguments.continue_on_failure,
        "jobs": list(wish.jobs),
        # A DAG run that finds another lab, because Airflow has not read the new one yet, fails at once and says so.
        LAB_ID_CONF: chosen.lab.lab_id,
    }
