"""The tasks of the DAG that runs a whole lab."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped

from airflow_provider_repx.asked import LAB_ID_CONF, require_asked_lab
from airflow_provider_repx.dag_runs import (
    STARTED_KEY,
    DagRunInfo,
    dag_is_paused,
    dag_run_info,
    derived_run_id,
    run_dag,
    warn_if_paused,
)
from airflow_provider_repx.errors import LabLookupError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.hooks.stores import store_of
from airflow_provider_repx.links import ChildRunLink, dag_run_url
from airflow_provider_repx.operators.base import LAB_ID_KEY, OPEN_LAB_TASK_ID, lab_note, require_same_lab
from airflow_provider_repx.triggers.run import DagRunEndTrigger
from airflow_provider_repx.unfinished import describe_unfinished

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.lab import Lab
    from airflow_provider_repx.targets import Target

__all__ = ["LabSummaryOperator", "RepxRunOperator", "SelectRunsOperator", "select_runs"]

_HANDED_DOWN = ("force", "continue_on_failure", "on_missing")


def select_runs(lab: Lab, names: Iterable[str], group: str | None) -> tuple[str, ...]:
    """The runs of a group and those that are named, or that match a pattern such as ``train-*``; without either: all.

    Upstream runs come first. Raises `LabLookupError`, which names what is not in the lab.
    """
    wanted = [name.strip() for name in names if name.strip()]
    if not wanted and not group:
        return lab.run_names
    chosen: set[str] = set(lab.runs_in_group(group)) if group else set()
    for name in wanted:
        found = fnmatch.filter(lab.run_names, name) if name not in lab.run_names else [name]
        if not found:
            # Raises the error that names the nearest run.
            lab.run(name)
        chosen.update(found)
    return tuple(name for name in lab.run_names if name in chosen)


class SelectRunsOperator(BaseOperator):
    """Say which lab this DAG run is about, and skip the runs that it does not ask for.

    Pushes the lab id as XCom `lab_id`; child DAG runs get it, so that all of them are about the same lab.

    :param lab: the lab that the DAG was made from
    :param lab_name: what the lab is configured as
    :param tasks: the task id of each run
    """

    template_fields: Sequence[str] = ()
    shallow_copy_attrs: Sequence[str] = ("lab", "tasks")
    ui_color = "#e8f0fb"

    def __init__(self, *, lab: Lab, lab_name: str, tasks: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lab = lab
        self.lab_name = lab_name
        self.tasks = tasks
        self.lab_note = lab_note(lab, lab_name)

    @classmethod
    def get_serialized_fields(cls) -> frozenset[str]:
        """Fields of the serialized task; `lab_note` beside Airflow's own."""
        fields: frozenset[str] = super().get_serialized_fields()  # type: ignore[no-untyped-call]
        return fields | {"lab_note"}

    def execute(self, context: Context) -> None:
        """Choose runs by the DAG params `runs` and `group`."""
        require_asked_lab(self.lab.reference(self.lab_name), context)
        params = context["params"]
        try:
            chosen = select_runs(self.lab, params.get("runs") or [], params.get("group"))
        except LabLookupError as error:
            raise AirflowFailException(f"params `runs` and `group`: {error}") from error
        if not chosen:
            raise AirflowFailException("params `runs` and `group`: there is no run to do: the group is empty.")
        context["ti"].xcom_push(key=LAB_ID_KEY, value=self.lab.lab_id)
        self.log.info("lab %s: %s (id %s, git %s)", self.lab_name, self.lab.path, self.lab.lab_id, self.lab.git_hash)
        self.log.info("runs, in this order: %s", ", ".join(chosen))
        context["ti"].xcom_push(key="return_value", value={"lab_id": self.lab.lab_id, "runs": list(chosen)})
        if skipped := [task for run, task in self.tasks.items() if run not in chosen]:
            raise DownstreamTasksSkipped(tasks=skipped)


class RepxRunOperator(BaseOperator):
    """Do one run of the lab as a DAG run of its own DAG, and wait for its end in the triggerer.

    The DAG run's id follows from the lab and from this DAG run, so that a task that is tried again finds it. One that
    has ended without doing all jobs is cleared. It gets the params `force`, `continue_on_failure` and `on_missing` of
    this DAG run.

    :param lab: the lab that the DAG was made from
    :param lab_name: what the lab is configured as
    :param run: the run
    :param dag_id: the run's DAG
    :param target: where its jobs run
    :param siblings: ids of all tasks that do a run
    :param poll_interval: seconds between two looks at the DAG run
    """

    template_fields: Sequence[str] = ()
    shallow_copy_attrs: Sequence[str] = ("lab", "target", "siblings")
    operator_extra_links = [ChildRunLink()]  # noqa: RUF012 - Airflow's attribute
    ui_color = "#dcefe0"

    def __init__(
        self,
        *,
        lab: Lab,
        lab_name: str,
        run: str,
        dag_id: str,
        target: Target,
        siblings: Collection[str],
        poll_interval: float = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.lab = lab
        self.lab_name = lab_name
        self.run_name = run
        self.external_dag_id = dag_id
        self.external_run_id: str | None = None
        self.target = target
        self.siblings = siblings
        self.poll_interval = poll_interval

    @property
    def store(self) -> OutputStore:
        """The output store of the target."""
        return store_of(self.target)

    def execute(self, context: Context) -> None:
        """Start the DAG run, or find the one that an earlier try has started."""
        require_same_lab(self.lab.reference(self.lab_name), context)
        if not context["params"].get("continue_on_failure", True) and self._has_failures(context):
            # Not skipped: what was skipped is not done when somebody clears what failed.
            raise AirflowFailException(
                f"Run {self.run_name!r} was not started: another run of the lab failed, and continue_on_failure is"
                " false. Fix the cause, then clear what failed in this DAG run: this one is then done, too."
            )
        instance = context["ti"]
        run_id = derived_run_id(self.lab.lab_id, instance.dag_id, instance.run_id)
        known = dag_run_info(self.external_dag_id, run_id)
        self.external_run_id = run_id
        if known is not None and known.state == "success" and self._is_done():
            self.log.info("DAG run %s of %s has succeeded.", run_id, self.external_dag_id)
            return
        if known is None or not known.is_active:
            self._start(context, run_id, known)
        else:
            warn_if_paused(self.external_dag_id)
        instance.xcom_push(key=STARTED_KEY, value={"dag_id": self.external_dag_id, "run_id": run_id})
        ChildRunLink().publish(self, context)
        self.log.info("Waiting for %s", dag_run_url(self.external_dag_id, run_id))
        self.defer(
            trigger=DagRunEndTrigger(dag_id=self.external_dag_id, run_id=run_id, poll_interval=self.poll_interval),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> None:
        """End as the DAG run has ended; say what its run lacks."""
        instance = context["ti"]
        # The lab may have been rebuilt meanwhile; the DAG run was started for the one of before.
        lab_id = instance.xcom_pull(task_ids=OPEN_LAB_TASK_ID, key=LAB_ID_KEY)
        self.external_run_id = derived_run_id(str(lab_id), instance.dag_id, instance.run_id)
        state = (event or {}).get("state")
        if state == "success":
            return
        what = f"DAG run {self.external_run_id} of {self.external_dag_id}"
        if state is None:
            raise AirflowFailException(f"{what} was deleted. Clear this task with everything downstream to start it.")
        require_same_lab(self.lab.reference(self.lab_name), context)
        raise AirflowFailException(
            f"{what} failed ({dag_run_url(self.external_dag_id, self.external_run_id)}).\n"
            f"{describe_unfinished(self.lab, self.run_name, self.store)}\nFix the cause, then clear this task with"
            " everything downstream, or trigger this DAG again: jobs that are done are reused."
        )

    def _start(self, context: Context, run_id: str, known: DagRunInfo | None) -> None:
        paused = dag_is_paused(self.external_dag_id)
        if paused is None:
            raise AirflowFailException(f"Airflow knows no DAG {self.external_dag_id}. See its import errors.")
        if paused:
            raise AirflowFailException(
                f"DAG {self.external_dag_id} is paused, so its run would wait forever. Unpause it"
                f" (`airflow dags unpause {self.external_dag_id}`), then clear this task with everything downstream."
            )
        params = context["params"]
        conf = {name: params[name] for name in _HANDED_DOWN if name in params}
        instance = context["ti"]
        note = f"{lab_note(self.lab, self.lab_name)}. Started by DAG run {instance.run_id} of {instance.dag_id}."
        conf = {LAB_ID_CONF: self.lab.lab_id, **conf}
        run_dag(self.external_dag_id, run_id, conf=conf, note=note[:1000], again=known is not None)
        self.log.info("%s DAG run %s of %s.", "Started" if known is None else "Cleared", run_id, self.external_dag_id)

    def _is_done(self) -> bool:
        jobs = self.lab.run(self.run_name).jobs
        return len(self.store.succeeded(jobs)) == len(jobs)

    def _has_failures(self, context: Context) -> bool:
        instance = context["ti"]
        count: int = instance.get_ti_count(
            dag_id=instance.dag_id, run_ids=[instance.run_id], task_ids=list(self.siblings), states=["failed"]
        )
        return count > 0


class LabSummaryOperator(BaseOperator):
    """Succeed if and only if no run failed; say which ones did.

    Runs when all other tasks have ended, however they ended. Without it a DAG run would be a success whose last runs
    were not asked for, whatever became of those before them.

    :param tasks: the task id of each run
    """

    template_fields: Sequence[str] = ()
    shallow_copy_attrs: Sequence[str] = ("tasks",)
    ui_color = "#fbf3dd"

    def __init__(self, *, tasks: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tasks = tasks

    def execute(self, context: Context) -> dict[str, str]:
        """Tell how each run has ended."""
        instance = context["ti"]
        states = instance.get_task_states(
            dag_id=instance.dag_id, task_ids=list(self.tasks.values()), run_ids=[instance.run_id]
        ).get(instance.run_id, {})
        ended = {run: str(states.get(task)) for run, task in self.tasks.items()}
        for run, state in ended.items():
            self.log.info("%-16s %s", state, run)
        if failed := [run for run, state in ended.items() if state not in ("success", "skipped")]:
            raise AirflowFailException(
                f"{len(failed)} of {len(ended)} runs failed, or could not start because others did:"
                f" {', '.join(failed)}. See their tasks, fix the cause, then clear what failed in this DAG run."
            )
        return ended
