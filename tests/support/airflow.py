"""Putting DAG files into a running Airflow and waiting for what it makes of them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tools.airflow_local import wait_until

if TYPE_CHECKING:
    from tools.airflow_local import AirflowApi, AirflowInstance, Dag, ImportErrorRecord

__all__ = ["RUN_TIMEOUT", "Deploy", "deploy_dag_file", "run", "wait_for_import_error"]

RUN_TIMEOUT = 240
"""Seconds that a DAG run may take on a loaded machine."""

Deploy = Callable[..., str]
"""Writes a lab and a DAG file for it, and returns the id of its DAG."""


def run(api: AirflowApi, dag_id: str, **conf: object) -> tuple[str, str]:
    """Trigger, wait; the DAG run's id and state."""
    run_id = api.trigger(dag_id, conf=conf).run_id
    return run_id, api.wait_for_run(dag_id, run_id, timeout=RUN_TIMEOUT).state


def _write(instance: AirflowInstance, file_name: str, source: str) -> None:
    instance.dags_folder.mkdir(parents=True, exist_ok=True)
    temporary = instance.dags_folder / f".{file_name}.new"
    temporary.write_text(textwrap.dedent(source))
    temporary.replace(instance.dags_folder / file_name)


def _import_error(instance: AirflowInstance, file_name: str) -> ImportErrorRecord | None:
    return next((item for item in instance.api.import_errors() if Path(item.filename).name == file_name), None)


def deploy_dag_file(
    instance: AirflowInstance, file_name: str, source: str, dag_id: str, *, timeout: float = 60.0
) -> Dag:
    """Write a DAG file into the instance's DAG folder and wait until it shows `dag_id`."""
    _write(instance, file_name, source)

    def known() -> Dag | None:
        error = _import_error(instance, file_name)
        assert error is None, f"{file_name} does not import:\n{error.stack_trace if error else ''}"
        return instance.api.dags().get(dag_id)

    return wait_until(known, timeout=timeout, what=f"DAG {dag_id} of {file_name}")


def wait_for_import_error(
    instance: AirflowInstance, file_name: str, source: str, *, timeout: float = 60.0
) -> ImportErrorRecord:
    """Write a DAG file that must not import, and wait for its error."""
    _write(instance, file_name, source)
    return wait_until(
        lambda: _import_error(instance, file_name), timeout=timeout, what=f"an import error of {file_name}"
    )
