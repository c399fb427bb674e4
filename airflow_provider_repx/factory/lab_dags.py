"""From a configured lab to its DAGs."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

from airflow.sdk import DAG, get_parsing_context

from airflow_provider_repx.errors import PlanError, RepxError, TargetError
from airflow_provider_repx.factory.broken import BrokenLabDAG
from airflow_provider_repx.factory.run_dag import build_run_dag
from airflow_provider_repx.factory.settings import LabSettings, configured_labs, lab_settings
from airflow_provider_repx.factory.target import target_of
from airflow_provider_repx.lab import read_lab
from airflow_provider_repx.plan import plan_run
from airflow_provider_repx.targets import ResourceRules, load_resource_rules

__all__ = ["RESERVED_DAG_IDS", "repx_dags"]

RESERVED_DAG_IDS = frozenset({"repx_lab", "repx_lab_build"})

_log = logging.getLogger(__name__)


def repx_dags(**settings: Any) -> dict[str, DAG]:
    """Build one DAG per run of a lab, by DAG id.

    Takes the settings of `LabSettings` as keyword arguments; each that is absent comes from the `[repx]` section of
    Airflow's configuration. Without any argument it builds every lab configured there. Put the result where Airflow
    finds DAGs::

        globals().update(repx_dags())

    In a task's process only the DAG of that task is built. Raises `LabError`, `TargetError` or `PlanError`, which
    Airflow shows as import error; of several configured labs, a broken one leaves the others alone.
    """
    if settings:
        return _lab_dags(lab_settings(settings), _wanted_dag_id())
    labs = configured_labs()
    if len(labs) == 1:
        return _lab_dags(labs[0], _wanted_dag_id())
    dags: dict[str, DAG] = {}
    for lab in labs:
        try:
            built = _lab_dags(lab, _wanted_dag_id())
        except RepxError as error:
            broken = BrokenLabDAG(lab.name, error)
            built = {broken.dag_id: broken}
        if clash := sorted(dags.keys() & built.keys()):
            raise TargetError(
                f"[repx] labs: {lab.name}: DAG id {clash[0]!r} is taken by another lab. Give each lab its own"
                " `dag_id_prefix`."
            )
        dags |= built
    return dags


def _wanted_dag_id() -> str | None:
    return get_parsing_context().dag_id


def _dag_id(settings: LabSettings, run: str) -> str:
    return settings.dag_id_prefix + re.sub(r"[^A-Za-z0-9_.-]", "_", run)


def _lab_dags(settings: LabSettings, wanted: str | None) -> dict[str, DAG]:
    started = time.perf_counter()
    lab = read_lab(settings.lab)
    if not lab.is_directory:
        raise TargetError(
            f"{settings.lab}: lab {settings.name!r} is a tar file, which can be read but not run. Unpack it and"
            " configure the directory."
        )
    runs: dict[str, str] = {}
    for run in lab.run_names:
        dag_id = _dag_id(settings, run)
        if dag_id in RESERVED_DAG_IDS or dag_id in runs:
            taken = "reserved" if dag_id in RESERVED_DAG_IDS else f"also that of run {runs[dag_id]!r}"
            raise PlanError(
                f"{settings.lab}: run {run!r} would become DAG {dag_id!r}, which is {taken}. Rename the run, or set"
                " another `dag_id_prefix`."
            )
        runs[dag_id] = run
    target = target_of(settings)
    rules = load_resource_rules([settings.resources_file]) if settings.resources_file else ResourceRules()
    dags = {}
    for dag_id, run in runs.items():
        if wanted not in (None, dag_id):
            continue
        plan = plan_run(lab, run, target, rules=rules, max_mapped=settings.max_mapped)
        upstream_dag_ids = {upstream: _dag_id(settings, upstream) for upstream in plan.hard_dependencies}
        dags[dag_id] = build_run_dag(dag_id, lab, plan, target, settings, upstream_dag_ids)
    _log.info("lab %s: %d DAGs from %s in %.3f s", settings.name, len(dags), lab.path, time.perf_counter() - started)
    return dags
