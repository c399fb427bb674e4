"""Labs in the shared Airflow."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.support.airflow import Deploy, deploy_dag_file
from tests.support.experiments import Experiment
from tools.airflow_local import AirflowInstance


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment(tmp_path)


@pytest.fixture
def deploy(airflow_instance: AirflowInstance, experiment: Experiment) -> Deploy:
    """Write the lab and a DAG file for it; returns the DAG id of its run `simulation`."""
    name = f"t{uuid.uuid4().hex[:8]}"

    def deploy(*, settings: str = "", **shape: int) -> str:
        experiment.write(**shape)  # type: ignore[arg-type]
        source = f"""
            from airflow_provider_repx import repx_dags
            globals().update(repx_dags(lab={str(experiment.lab)!r}, name={name!r}, base_path={str(experiment.base)!r},
                                       dag_id_prefix="{name}_", retry_delay=1, poll_interval=0.5, {settings}))
        """
        deploy_dag_file(airflow_instance, f"{name}.py", source, f"{name}_simulation")
        return f"{name}_simulation"

    return deploy
