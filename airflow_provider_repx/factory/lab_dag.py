"""The DAG that does all runs of a lab, a group of them, or a selection."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, TriggerRule

from airflow_provider_repx.errors import PlanError
from airflow_provider_repx.factory.documentation import describe_lab
from airflow_provider_repx.factory.names import airflow_id
from airflow_provider_repx.factory.params import continue_param, force_param, keep_params_on_dag, on_missing_param
from airflow_provider_repx.factory.schedules import active_runs_limit, schedule_of
from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.lab import Lab
from airflow_provider_repx.lab.graph import find_order
from airflow_provider_repx.operators.base import OPEN_LAB_TASK_ID
from airflow_provider_repx.operators.lab import LabSummaryOperator, RepxRunOperator, SelectRunsOperator
from airflow_provider_repx.targets import Target

__all__ = ["build_whole_lab_dag"]

_MAX_NAMES = 50
"""Runs that the trigger form lists."""


def build_whole_lab_dag(
    dag_id: str, lab: Lab, target: Target, settings: LabSettings, run_dag_ids: Mapping[str, str]
) -> DAG:
    """Build the DAG with one task per run, each of which starts a DAG run of that run's own DAG.

    `run_dag_ids` names the DAG of each run. Hard dependencies are edges. A run that is not asked for is skipped, and
    those that depend on it are done all the same; one that fails keeps only those from starting that depend on it. The
    last task judges the whole.
    """
    schedule = schedule_of(settings.schedule, f"lab {settings.name!r}: schedule")
    tasks = {run: f"run_{airflow_id(run)}" for run in run_dag_ids}
    hard = _hard_dependencies(lab, run_dag_ids)
    with DAG(
        dag_id=dag_id,
        description=f"All runs of RepX lab {settings.name}",
        schedule=schedule,
        **active_runs_limit(schedule),
        catchup=False,
        is_paused_upon_creation=schedule is not None,
        doc_md=describe_lab(lab, settings, run_dag_ids),
        tags=["repx", f"lab:{settings.name}"],
        params=_params(lab, settings),
        default_args={
            "owner": "repx",
            "retries": settings.retries,
            "retry_delay": timedelta(seconds=settings.retry_delay),
            **settings.default_args,
        },
    ) as dag:
        first = SelectRunsOperator(task_id=OPEN_LAB_TASK_ID, lab=lab, lab_name=settings.name, tasks=tasks)
        operators = {
            run: RepxRunOperator(
                task_id=task_id,
                lab=lab,
                lab_name=settings.name,
                run=run,
                dag_id=run_dag_ids[run],
                target=target,
                siblings=list(tasks.values()),
                poll_interval=settings.poll_interval,
                trigger_rule=TriggerRule.NONE_FAILED,
            )
            for run, task_id in tasks.items()
        }
        for run, operator in operators.items():
            ([operators[other] for other in hard[run]] or first) >> operator
        summary = LabSummaryOperator(task_id="summary", tasks=tasks, trigger_rule=TriggerRule.ALL_DONE, retries=0)
        first >> summary
        list(operators.values()) >> summary
    keep_params_on_dag(dag)
    return dag


def _hard_dependencies(lab: Lab, runs: Collection[str]) -> Mapping[str, Sequence[str]]:
    """The runs that each run waits for; raises `PlanError` where they wait for each other, which would never end."""
    hard = {
        # A slice of a lab knows of upstream runs that are not in it.
        run: [item.run for item in lab.run(run).dependencies if item.kind == "hard" and item.run in runs]
        for run in runs
    }
    _, circle = find_order(hard, hard.__getitem__)
    if circle:
        raise PlanError(
            f"{lab.path}: runs wait for each other in a circle: {' <- '.join((*circle, circle[0]))}. Make one of these"
            " dependencies soft, or remove it, and build the lab again."
        )
    return hard


def _params(lab: Lab, settings: LabSettings) -> dict[str, Any]:
    groups = sorted(lab.groups)
    return {
        "group": Param(
            None,
            type=["null", "string"],
            enum=[None, *groups],
            title="Group",
            description="Only the runs of this group, and those named under `runs`.",
        ),
        "runs": Param(
            [],
            type="array",
            items={"type": "string"},
            title="Runs",
            description="Only these runs: names, or patterns such as train-*. Empty, and no group: all."
            f" This lab has: {_listed(lab.run_names)}.",
        ),
        "force": force_param(),
        "continue_on_failure": continue_param(
            "When a run or a job fails, go on with those that do not depend on it. Off: start no further runs and jobs."
        ),
        "on_missing": on_missing_param(settings.on_missing),
    }


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    return shown if len(names) <= _MAX_NAMES else f"{shown}, … ({len(names)} runs)"
