"""Between the build of a lab and the news of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from airflow_provider_repx.dag_runs import served_version
from airflow_provider_repx.lab import read_lab

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["LabServedSensor"]


class LabServedSensor(BaseSensorOperator):
    """Wait until Airflow has read the lab that another task of this DAG run has built; then emit its asset.

    A DAG run that begins before that would still be about the lab of before. Only a lab that a `RepxLabBundle` serves
    has versions that can be compared; without one the asset is emitted at once.

    :param build_task_id: the task that returns what it built, as `NixBuildOperator` does
    :param dag_id: a DAG of the lab that is there in every version
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e6e6fa"

    def __init__(self, *, build_task_id: str, dag_id: str, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", **kwargs)
        self.build_task_id = build_task_id
        self.dag_id_of_lab = dag_id

    def poke(self, context: Context) -> bool:
        """Whether the newest version of the lab's DAG comes from what was built."""
        built = context["ti"].xcom_pull(task_ids=self.build_task_id)
        is_known, version = served_version(self.dag_id_of_lab)
        if not is_known:
            self.log.info("Airflow does not know %s yet.", self.dag_id_of_lab)
            return False
        if version is not None and version != Path(built["path"]).name:
            self.log.info("Airflow still has %s of version %s.", self.dag_id_of_lab, version)
            return False
        extra = {**built, "git_hash": read_lab(Path(built["path"])).git_hash}
        for asset in self.outlets:
            context["outlet_events"][asset].extra = extra
        return True
