"""`airflow repx plan`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.find import require_jobs
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab
from airflow_provider_repx.cli.tables import clean, counted, one_line, print_json, print_table
from airflow_provider_repx.errors import StoreError, TargetError, TransportError
from airflow_provider_repx.lab import JobId, Run, format_memory, format_time
from airflow_provider_repx.plan import Chain, PlannedStage, RunPlan
from airflow_provider_repx.plan.models import PlannedScatterGather
from airflow_provider_repx.targets import Resources, resolve

__all__ = ["plan"]


@dataclass(frozen=True)
class _Asked:
    """The jobs that a DAG run would be asked for, and those of them that it would find done; `known`: if anybody is."""

    wanted: frozenset[JobId]
    reused: frozenset[JobId]
    known: bool

    def count(self, jobs: Sequence[JobId]) -> dict[str, int | None]:
        """How many of some jobs would be reused, and how many run."""
        wanted = self.wanted.intersection(jobs)
        reused = len(self.reused.intersection(wanted))
        return {"reused": reused if self.known else None, "to_run": len(wanted) - reused if self.known else None}


@command
def plan(arguments: argparse.Namespace) -> None:
    """Print what a DAG run of a run would do."""
    chosen = choose_lab(arguments)
    run = chosen.lab.run(arguments.run)
    found = chosen.plan(run.name)
    wanted = frozenset(require_jobs(run, arguments.jobs))
    upstream = {name: chosen.lab.run(name).jobs for name in found.hard_dependencies}
    done = _done(chosen, wanted.union(*upstream.values()))
    reused = frozenset() if arguments.force or done is None else wanted & done
    about = _describe(chosen, run, found, _Asked(wanted, reused, known=done is not None))
    about["waits_for"] = [
        {"run": name, "jobs": len(jobs), "succeeded": None if done is None else len(done.intersection(jobs))}
        for name, jobs in upstream.items()
    ]
    if arguments.output == "json":
        print_json(about)
    else:
        _print(about)


def _done(chosen: ChosenLab, jobs: Collection[JobId]) -> frozenset[JobId] | None:
    """The jobs that are done; where the output store cannot be asked, say why and do without."""
    try:
        return chosen.store.succeeded(jobs)
    except (StoreError, TargetError, TransportError) as error:
        print(f"[WARNING] which jobs are done is not known: {one_line(str(error))}", file=sys.stderr)
        return None


def _describe(chosen: ChosenLab, run: Run, found: RunPlan, asked: _Asked) -> dict[str, Any]:
    return {
        "run": run.name,
        "lab": chosen.name,
        "lab_id": found.lab_id,
        "dag_id": chosen.dag_id(run.name),
        "target": found.target,
        "scheduler": chosen.target.scheduler,
        "jobs": len(asked.wanted),
        "reused": len(asked.reused) if asked.known else None,
        "tasks": [
            *(_task(chain, stage, asked) for chain in found.chains for stage in chain.stages),
            *(row for group in found.scatter_gathers for row in _parts(group, asked)),
        ],
        "pools": [{"pool": pool.name, "slots": pool.slots, "description": pool.description} for pool in found.pools],
        "arrays": list(_arrays(chosen, run, found, asked)) if chosen.target.scheduler == "slurm" else [],
    }


def _task(chain: Chain, stage: PlannedStage, asked: _Asked) -> dict[str, Any]:
    return {
        "task": stage.task_id,
        "stage": stage.stage,
        "jobs": len(stage.jobs),
        "task_instances": chain.width,
        "jobs_per_task": chain.chunk,
        "pool": stage.pool,
        "slots": stage.slots,
        **asked.count(stage.jobs),
    }


def _parts(group: PlannedScatterGather, asked: _Asked) -> Iterator[dict[str, Any]]:
    """The tasks of scatter-gather jobs; how many instances a step has is known once scatter has run."""
    steps = {step.task_id for step in group.steps}
    for part in group.parts:
        yield {
            "task": part.task_id,
            "stage": group.stage,
            "jobs": len(group.jobs),
            "task_instances": None if part.task_id in steps else group.job_width,
            "jobs_per_task": None if part.task_id in steps else group.chunk,
            "pool": part.pool,
            "slots": part.slots,
            **asked.count(group.jobs),
        }


def _arrays(chosen: ChosenLab, run: Run, found: RunPlan, asked: _Asked) -> Iterator[dict[str, Any]]:
    """Jobs of a stage that ask for the same, which are submitted together as far as they are ready together."""
    for stage in found.stages.values():
        to_run = [job for job in stage.jobs if job in asked.wanted - asked.reused]
        sizes = Counter(resolve(chosen.rules, chosen.target.name, job, run.jobs[job].resource_hints) for job in to_run)
        for resources, size in sizes.items():
            yield {"task": stage.task_id, "jobs": size, **_resources(resources)}


def _resources(asked: Resources) -> dict[str, Any]:
    return {
        "cpus": asked.cpus,
        "memory": None if asked.mem is None else format_memory(asked.mem),
        "time": None if asked.time is None else format_time(asked.time),
        "partition": asked.partition,
        "sbatch_opts": list(asked.sbatch_opts),
    }


def _print(about: dict[str, Any]) -> None:
    print(
        clean(
            f"DAG {about['dag_id']}, run {about['run']} of lab {about['lab']} ({about['lab_id']}), target"
            f" {about['target']} ({about['scheduler']}):"
        )
    )
    print(f"{counted(about['jobs'], 'job')}; done and reused: {_known(about['reused'])}.\n")
    _print_rows(about["tasks"])
    print()
    _print_rows([{**pool, "slots": "unknown" if pool["slots"] is None else pool["slots"]} for pool in about["pools"]])
    if about["arrays"]:
        print("\nOn Slurm, in job arrays as large as what is ready together:\n")
        _print_rows([{**array, "sbatch_opts": " ".join(array["sbatch_opts"])} for array in about["arrays"]])
    for upstream in about["waits_for"]:
        done = f"{_known(upstream['succeeded'])} of {counted(upstream['jobs'], 'job')} done"
        print("\n" + clean(f"Waits for run {upstream['run']}: {done}."))


def _known(number: int | None) -> str:
    return "an unknown number" if number is None else str(number)


def _print_rows(rows: list[dict[str, Any]]) -> None:
    if rows:
        header = [name.replace("_", " ") for name in rows[0]]
        print_table([header, *(["-" if value is None else str(value) for value in row.values()] for row in rows)])
