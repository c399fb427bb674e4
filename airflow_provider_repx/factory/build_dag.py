"""The DAG that builds a lab anew."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_repx.assets import lab_asset
from airflow_provider_repx.factory.schedules import schedule_of
from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.operators.nix_build import NixBuildOperator
from airflow_provider_repx.sensors.served import LabServedSensor

__all__ = ["build_lab_dag"]

_SERVED_WITHIN = 1800.0
"""Seconds that Airflow has to read a new lab; by default it looks every five minutes."""

_SERVED_INTERVAL = 5.0
"""Seconds between two looks."""


def build_lab_dag(dag_id: str, settings: LabSettings, whole_lab_dag_id: str) -> DAG:
    """Build the DAG that builds the lab from `settings.flake` and moves the out link to it.

    One build at a time. DAG runs under way keep their lab where it is served by `RepxLabBundle`. The lab's asset is
    emitted once Airflow has read the new lab, which shows in the DAG `whole_lab_dag_id`.
    """
    schedule = schedule_of(settings.build_schedule, f"lab {settings.name!r}: build_schedule")
    with DAG(
        dag_id=dag_id,
        description=f"Build RepX lab {settings.name} and serve what was built",
        schedule=schedule,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=schedule is not None,
        tags=["repx", f"lab:{settings.name}"],
        default_args={
            "owner": "repx",
            "retries": settings.retries,
            "retry_delay": timedelta(seconds=settings.retry_delay),
            **settings.default_args,
        },
    ) as dag:
        build = NixBuildOperator(
            task_id="build",
            flake=settings.flake,
            out_link=settings.out_link or settings.lab,
            private_store=settings.private_store,
            allow_network=settings.allow_network,
            # The next task reads what was built, whatever the default arguments say.
            do_xcom_push=True,
        )
        build >> LabServedSensor(
            task_id="announce",
            build_task_id=build.task_id,
            dag_id=whole_lab_dag_id,
            timeout=_SERVED_WITHIN,
            poke_interval=_SERVED_INTERVAL,
            outlets=[lab_asset(settings.name)],
        )
    return dag
