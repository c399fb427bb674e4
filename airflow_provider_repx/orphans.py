"""``python -m airflow_provider_repx.orphans``: ends Slurm jobs whose tasks were ended while no triggerer ran.

A triggerer starts this when it starts itself. Running triggers look for such jobs too; this is for the case that no
trigger is left to do so. It is a process of its own, since it needs Airflow's database and the cluster, and a triggerer
is about to fork. Safe to be run by hand and by several triggerers at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from airflow_provider_repx.errors import RepxError
from airflow_provider_repx.targets import Target

__all__ = ["main", "start_in_background"]

_log = logging.getLogger(__name__)


def start_in_background() -> None:
    """Start looking, without waiting for it: as a process of nobody, so that it needs not be collected at its end."""
    command = ["sh", "-c", '"$@" &', "sh", sys.executable, "-m", "airflow_provider_repx.orphans"]
    subprocess.run(command, stdin=subprocess.DEVNULL, start_new_session=True, check=False, timeout=30)


def main() -> int:
    """Look at every cluster that DAGs in Airflow's database are about; 1 where one could not be asked."""
    # Connections come from Airflow's database here, as in its scheduler.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    failed = 0
    for target in _targets():
        try:
            for claimant in asyncio.run(_end_orphans(target)):
                _log.warning("ended the job of %s", claimant)
        except RepxError as error:  # noqa: PERF203 - one cluster that is down leaves the others alone
            failed += 1
            _log.warning("target %s: jobs of tasks that have ended cannot be looked for: %s", target.name, error)
    return 1 if failed else 0


async def _end_orphans(target: Target) -> list[Any]:
    from airflow_provider_repx.execution.slurm import SlurmCluster  # noqa: PLC0415 - where nobody uses Slurm, not loaded
    from airflow_provider_repx.hooks.reaching import aconnector  # noqa: PLC0415 - see above
    from airflow_provider_repx.triggers.slurm.clusters import cluster_settings  # noqa: PLC0415 - see above
    from airflow_provider_repx.triggers.slurm.orphans import end_orphans  # noqa: PLC0415 - see above

    transport = (await aconnector(target)).open()
    cluster = SlurmCluster(cluster_settings(target), transport)
    try:
        return await end_orphans(cluster, transport, target.base_path, _states)
    finally:
        await cluster.close()


async def _states(run: Any, task_ids: Collection[str]) -> dict[str, str | None]:
    """As triggers are told by their supervisor, from the database."""
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415 - needs Airflow's database
    from airflow.utils.session import create_session  # noqa: PLC0415 - see above
    from sqlalchemy import select  # noqa: PLC0415 - see above

    query = select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state).where(
        TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id, TaskInstance.task_id.in_(task_ids)
    )
    with create_session() as session:
        rows = session.execute(query).all()
    return {task if index < 0 else f"{task}_{index}": state for task, index, state in rows}


def _targets() -> Iterable[Target]:
    """The clusters of all tasks of all DAGs, each once. Of DAG runs nothing may be left, so they are not asked."""
    from airflow.models.dag import DagModel  # noqa: PLC0415 - needs Airflow's database
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415 - see above
    from airflow.utils.session import create_session  # noqa: PLC0415 - see above
    from sqlalchemy import select  # noqa: PLC0415 - see above

    found: dict[str, Target] = {}
    with create_session() as session:
        for dag_id in session.scalars(select(DagModel.dag_id).order_by(DagModel.dag_id)).all():
            row = SerializedDagModel.get(dag_id, session=session)
            for task in [] if row is None else row.dag.task_dict.values():
                for target in _targets_of(task):
                    found[target.model_dump_json()] = target
    return found.values()


def _targets_of(task: Any) -> Iterator[Target]:
    from airflow_provider_repx.hooks.slurm_connection import read_connection  # noqa: PLC0415 - see above
    from airflow_provider_repx.triggers.slurm import CommandRequest, StageRequest  # noqa: PLC0415 - see above

    arguments = getattr(getattr(task, "start_trigger_args", None), "trigger_kwargs", None) or {}
    text = arguments.get("__var", arguments).get("request")
    try:
        if task.task_type in {"SlurmPartOperator", "SlurmStageOperator"} and text:
            target = StageRequest.load(text).target
            # Only what says where the cluster is, so that tasks of one cluster agree.
            yield target.model_copy(update={"capacity": None, "partitions": {}})
        elif task.task_type == "SlurmOperator" and text:
            request = CommandRequest.load(text)
            yield read_connection(request.conn_id).target(request.conn_id)
    except (RepxError, ValueError) as error:
        _log.warning("task %s: %s", task.task_id, error)


if __name__ == "__main__":
    sys.exit(main())
