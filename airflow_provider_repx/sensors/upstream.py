"""The DAG runs of an upstream run's DAG, and what to do about them while data is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_repx.asked import LAB_ID_CONF
from airflow_provider_repx.dag_runs import (
    DagRunInfo,
    active_dag_runs,
    dag_is_paused,
    dag_run_info,
    derived_run_id,
    failed_at,
    run_dag,
)
from airflow_provider_repx.links import dag_run_url
from airflow_provider_repx.operators.base import LAB_ID_KEY, OPEN_LAB_TASK_ID

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.lab import LabReference

__all__ = ["ActiveRuns", "Upstream", "on_missing_of"]

_log = logging.getLogger(__name__)

_CHOICES = ("trigger", "wait", "fail")
# What a DAG run that was started for the sake of another one takes over from it.
_INHERITED = ("continue_on_failure", "on_missing")


@dataclass(frozen=True)
class ActiveRuns:
    """Active DAG runs: the ids of those that are, or may be, about this lab, and the number of others."""

    ours: tuple[str, ...]
    others: int


def on_missing_of(context: Context, default: str) -> str:
    """What this DAG run wants done about missing data."""
    chosen = context["params"].get("on_missing") or default
    if chosen not in _CHOICES:
        raise AirflowFailException(f"param `on_missing`: {chosen!r}: choose one of {', '.join(_CHOICES)}")
    return str(chosen)


class Upstream:
    """The upstream run's DAG as one DAG run sees it that depends on it.

    :param dag_id: the upstream DAG
    :param run: the upstream run
    :param lab: the lab that the depending DAG run is about
    :param note: the version of that lab, for people
    :param context: of the task that waits

    `own_run_id` is the id of the DAG run that is, or would be, started for the sake of the depending one.
    """

    def __init__(self, dag_id: str, run: str, lab: LabReference, note: str, context: Context) -> None:
        self.dag_id = dag_id
        self.run = run
        self.lab = lab
        self.note = note
        self._context = context
        instance = context["ti"]
        self.own_run_id = derived_run_id(lab.lab_id, instance.dag_id, instance.run_id)

    def active(self) -> ActiveRuns:
        """The DAG runs that have not ended, by whether they are about this lab."""
        found, count = active_dag_runs(self.dag_id)
        ours = tuple(info.run_id for info in found if self._lab_of(info) in (None, self.lab.lab_id))
        return ActiveRuns(ours, max(count - len(ours), 0))

    def fail_if_failed(self, ended: Iterable[str], describe: Callable[[], str]) -> None:
        """Fail at once where one of the DAG runs that were waited for, or one at this logical date, failed.

        A failure counts if it is about this lab, or if that DAG run was started for this one. `describe` says what the
        upstream run lacks.
        """
        for run_id in (*ended, *self._failed_beside()):
            info = dag_run_info(self.dag_id, run_id)
            if info is None or info.state != "failed":
                continue
            lab_id = self._lab_of(info)
            if lab_id != self.lab.lab_id and not (lab_id is None and run_id == self.own_run_id):
                continue
            raise AirflowFailException(
                f"DAG run {run_id} of {self.dag_id}, which this one waits for, failed"
                f" ({dag_run_url(self.dag_id, run_id)}).\n{describe()}\nFix the cause. Then clear this task with"
                f" everything downstream, {self._remedy(run_id)}"
            )

    def _remedy(self, run_id: str) -> str:
        if run_id == self.own_run_id:
            return "which lets that DAG run begin again, too: jobs that are done are reused."
        return "after clearing that DAG run or triggering its DAG again: jobs that are done are reused."

    def none_under_way(self, on_missing: str, ended: Sequence[str]) -> list[str]:
        """Do what was chosen for this case; the ids of the DAG runs to wait for.

        Raises `AirflowFailException` where that is to fail, or where no DAG run can be started.
        """
        if on_missing == "trigger":
            return [self._trigger(ended)]
        text = f"run {self.run} has jobs that are not done, and no DAG run of {self.dag_id} is under way for this lab"
        if on_missing == "fail":
            raise AirflowFailException(
                f"{text} (param `on_missing` is `fail`). Trigger {self.dag_id} first, or this DAG with `trigger`."
            )
        _log.info("%s. Waiting for whoever does them (param `on_missing` is `wait`).", text)
        return []

    def _trigger(self, ended: Sequence[str]) -> str:
        run_id = self.own_run_id
        paused = dag_is_paused(self.dag_id)
        if paused is None:
            raise AirflowFailException(
                f"run {self.run} has jobs that are not done, and Airflow knows no DAG {self.dag_id} that could do"
                " them. See its import errors."
            )
        if paused:
            raise AirflowFailException(
                f"run {self.run} has jobs that are not done, and its DAG {self.dag_id} is paused. Unpause it"
                f" (`airflow dags unpause {self.dag_id}`), then clear this task with everything downstream."
            )
        known = dag_run_info(self.dag_id, run_id)
        if known is not None and run_id in ended and known.state == "success":
            raise AirflowFailException(
                f"DAG run {run_id} of {self.dag_id} succeeded, yet jobs of run {self.run} are not done in this store:"
                " was something deleted meanwhile, or does that DAG use another target? Clear this task with everything"
                " downstream to try again."
            )
        instance = self._context["ti"]
        params = self._context["params"]
        conf = {name: params[name] for name in _INHERITED if name in params}
        note = f"{self.note}. Started by DAG run {instance.run_id} of {instance.dag_id}, which needs its results."
        run_dag(
            self.dag_id, run_id, conf={LAB_ID_CONF: self.lab.lab_id, **conf}, note=note[:1000], again=known is not None
        )
        _log.info("%s DAG run %s of %s.", "Started" if known is None else "Cleared", run_id, self.dag_id)
        return run_id

    def _failed_beside(self) -> Sequence[str]:
        """Failed DAG runs at the logical date of this one, which has none where it was triggered by hand."""
        logical_date = getattr(self._context.get("dag_run"), "logical_date", None)
        return () if logical_date is None else failed_at(self.dag_id, logical_date)

    def _lab_of(self, info: DagRunInfo) -> Any:
        """The lab that a DAG run is about; `None` while nobody knows."""
        opened = self._context["ti"].xcom_pull(
            dag_id=self.dag_id, run_id=info.run_id, task_ids=OPEN_LAB_TASK_ID, key=LAB_ID_KEY
        )
        return opened or info.conf.get(LAB_ID_CONF)
