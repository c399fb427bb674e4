"""From a configured lab to its DAGs."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from airflow.sdk import DAG, get_parsing_context

from airflow_provider_repx.errors import PlanError, TargetError
from airflow_provider_repx.factory.broken import BrokenLabDAG
from airflow_provider_repx.factory.build_dag import build_lab_dag
from airflow_provider_repx.factory.lab_dag import build_whole_lab_dag
from airflow_provider_repx.factory.names import MAX_ID, airflow_id
from airflow_provider_repx.factory.plan_cache import cached_plan
from airflow_provider_repx.factory.run_dag import build_run_dag
from airflow_provider_repx.factory.schedules import require_known_runs
from airflow_provider_repx.factory.settings import LabSettings, configured_labs, lab_settings
from airflow_provider_repx.factory.target import target_of
from airflow_provider_repx.lab import Lab, read_lab

__all__ = ["repx_dags"]

_LAB = "lab"
_BUILD = "lab_build"
# Behind the prefix these make the ids of DAGs that are about the lab as a whole.
_RESERVED = frozenset({_LAB, _BUILD})

_log = logging.getLogger(__name__)


def repx_dags(**settings: Any) -> dict[str, DAG]:
    """Build one DAG per run of a lab, and one that does all of them, by DAG id.

    Takes the settings of `LabSettings` as keyword arguments; each that is absent comes from the `[repx]` section of
    Airflow's configuration. Without any argument it builds every lab configured there. Put the result where Airflow
    finds DAGs::

        globals().update(repx_dags())

    In a task's process only the DAG of that task is built. Raises `LabError`, `TargetError` or `PlanError`, which
    Airflow shows as import error; of several configured labs, a broken one leaves the others alone.
    """
    wanted = get_parsing_context().dag_id
    if settings:
        given = lab_settings(settings)
        labs: Mapping[str, LabSettings | TargetError] = {given.name: given}
    else:
        labs = configured_labs()
    dags: dict[str, DAG] = {}
    for name, lab in labs.items():
        built: dict[str, DAG] = {}
        try:
            valid = _valid(lab)
            built = _build_dags(valid, wanted)
            whole = built | _run_dags(valid, wanted)
            _refuse_clash(name, dags, whole)
            built = whole
        except Exception as error:
            if len(labs) == 1 and not built:
                raise
            # An error of any kind raised from here would hide the other labs' DAGs, and the one that can build this lab
            # anew. Airflow shows it as an import error all the same.
            broken = BrokenLabDAG(name, error)
            built = {dag_id: dag for dag_id, dag in built.items() if dag_id not in dags} | {broken.dag_id: broken}
        dags |= built
    return dags


def _valid(lab: LabSettings | TargetError) -> LabSettings:
    if isinstance(lab, TargetError):
        raise lab
    return lab


def _refuse_clash(name: str, dags: Mapping[str, DAG], built: Mapping[str, DAG]) -> None:
    if clash := sorted(dags.keys() & built.keys()):
        raise TargetError(
            f"[repx] labs: {name}: DAG id {clash[0]!r} is taken by another lab. Give each lab its own `dag_id_prefix`."
        )


def _dag_id(settings: LabSettings, run: str) -> str:
    return settings.dag_id_prefix + airflow_id(run)


def _build_dags(settings: LabSettings, wanted: str | None) -> dict[str, DAG]:
    dag_id = settings.dag_id_prefix + _BUILD
    if settings.flake is None or wanted not in (None, dag_id):
        return {}
    return {dag_id: build_lab_dag(dag_id, settings, settings.dag_id_prefix + _LAB)}


def _run_dags(settings: LabSettings, wanted: str | None) -> dict[str, DAG]:
    if settings.flake is not None and (wanted == settings.dag_id_prefix + _BUILD or not settings.lab.exists()):
        return {}
    started = time.perf_counter()
    lab = read_lab(settings.lab)
    if not lab.is_directory:
        raise TargetError(
            f"{settings.lab}: lab {settings.name!r} is a tar file, which can be read but not run. Unpack it and"
            " configure the directory."
        )
    target = target_of(settings)
    options = settings.plan_options
    rules = options.rules()
    dags: dict[str, DAG] = {}
    runs = _runs_by_dag_id(settings, lab)
    require_known_runs(settings.schedules, lab.run_names, settings.name)
    whole = settings.dag_id_prefix + _LAB
    if wanted in (None, whole):
        dag_ids = {run: dag_id for dag_id, run in runs.items()}
        dags[whole] = build_whole_lab_dag(whole, lab, target, settings, dag_ids)
    for dag_id, run in runs.items():
        if wanted not in (None, dag_id):
            continue
        plan = cached_plan(lab, run, target, options, rules)
        upstream_dag_ids = {upstream: _dag_id(settings, upstream) for upstream in plan.hard_dependencies}
        # Nobody looks at the documentation in a task's process.
        dags[dag_id] = build_run_dag(dag_id, lab, plan, target, settings, upstream_dag_ids, documented=wanted is None)
    _log.info("lab %s: %d DAGs from %s in %.3f s", settings.name, len(dags), lab.path, time.perf_counter() - started)
    return dags


def _runs_by_dag_id(settings: LabSettings, lab: Lab) -> dict[str, str]:
    reserved = {_dag_id(settings, name) for name in _RESERVED}
    runs: dict[str, str] = {}
    for run in lab.run_names:
        dag_id = _dag_id(settings, run)
        if max(len(dag_id), len(f"wait_for_{run}")) > MAX_ID:
            raise PlanError(
                f"{settings.lab}: run {run!r} would become DAG {dag_id!r}, which is longer than the {MAX_ID} characters"
                " that Airflow allows. Shorten the run's name, or `dag_id_prefix`."
            )
        if dag_id in reserved or dag_id in runs:
            taken = "reserved" if dag_id in reserved else f"also that of run {runs[dag_id]!r}"
            raise PlanError(
                f"{settings.lab}: run {run!r} would become DAG {dag_id!r}, which is {taken}. Rename the run."
            )
        runs[dag_id] = run
    return runs
