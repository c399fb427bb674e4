"""The DAG that builds a lab anew."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_repx.assets import lab_asset
from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.operators.nix_build import NixBuildOperator

__all__ = ["build_lab_dag"]


def build_lab_dag(dag_id: str, settings: LabSettings) -> DAG:
    """Build the DAG that builds the lab from `settings.flake` and moves the out link to it.

    One build at a time. DAG runs under way keep their lab where it is served by `RepxLabBundle`.
    """
    with DAG(
        dag_id=dag_id,
        description=f"Build RepX lab {settings.name} and serve what was built",
        schedule=settings.build_schedule,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=settings.build_schedule is not None,
        tags=["repx", f"lab:{settings.name}"],
        default_args={
            "owner": "repx",
            "retries": settings.retries,
            "retry_delay": timedelta(seconds=settings.retry_delay),
            **settings.default_args,
        },
    ) as dag:
        NixBuildOperator(
            task_id="build",
            flake=settings.flake,
            out_link=settings.out_link or settings.lab,
            private_store=settings.private_store,
            allow_network=settings.allow_network,
            outlets=[lab_asset(settings.name)],
        )
    return dag
