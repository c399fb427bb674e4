"""Scatter-gather jobs as tasks: scatter, the branches that it has found, each step of them, gather."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_repx.errors import RepxError, WorkItemsError
from airflow_provider_repx.execution.units import (
    Branch,
    Bundle,
    Unit,
    bundled,
    describe_unfinished,
    part_units,
    read_work_items,
    settle_branches,
    step_units,
    units_before,
)
from airflow_provider_repx.operators.parts import PartOperator
from airflow_provider_repx.plan.scatter_gather import MAX_MAP_LENGTH

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.execution.jobs import JobOutcome
    from airflow_provider_repx.execution.units import UnfinishedBranch, WorkItem
    from airflow_provider_repx.lab import JobId

__all__ = ["BranchesOperator", "GatherOperator", "ScatterOperator", "StepOperator"]

_NOT_WANTED = "Not among the jobs that this DAG run asks for (param `jobs`)."


class ScatterOperator(PartOperator):
    """Run the scatter of the jobs that fall to this task's map index.

    One that is done is reused. One whose job's upstream jobs are not done is skipped.
    """

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Run or reuse each scatter; fail with all causes when any failed."""
        wanted = self.begin(context).wanted
        units = [unit for unit in part_units(self.group, "scatter", _index(context)) if unit.job_id in wanted]
        if not units:
            raise AirflowSkipException(_NOT_WANTED)
        outcomes: list[JobOutcome] = []
        errors: list[RepxError] = []
        for unit in units:
            try:
                outcome = self.run_unit(unit, context) if self._may_start(unit, context) else None
            except RepxError as error:
                # What keeps this job from running need not concern the other jobs of this task.
                self.log.error("%s: %s", unit, error)  # noqa: TRY400 - its traceback follows when the task fails
                errors.append(error)
                continue
            if outcome is not None:
                self.log.info("%s", outcome.describe())
                outcomes.append(outcome)
        self.raise_failure(context, outcomes, errors)
        if not outcomes:
            raise AirflowSkipException("Nothing was started; see above.")
        return [outcome.summary() for outcome in outcomes]

    def _may_start(self, unit: Unit, context: Context) -> bool:
        if self.unit_is_done(unit, context):
            return True
        producers = self.repx_run.jobs[unit.job_id].producers
        missing = sorted(set(producers) - self.store.succeeded(producers))
        if missing:
            self.log.warning("%s is skipped: upstream jobs are not done: %s", unit, ", ".join(missing))
            return False
        if self.is_stopped_by_failure(context):
            self.log.warning("%s is skipped: a job of this DAG run failed and continue_on_failure is false", unit)
            return False
        return True


class BranchesOperator(PartOperator):
    """Find out which branches are to be run, and give each its work item.

    Returns the bundles of branches that the steps are mapped over: those branches that are not done, or all of them
    where the job is forced. Where there are more than a DAG run can hold, a bundle has several.
    """

    def __init__(self, **kwargs: Any) -> None:
        # What is returned is not for people alone, so no default argument of the DAG may keep it from being pushed.
        super().__init__(**kwargs | {"do_xcom_push": True})

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Look at the work items of each job whose scatter is done."""
        asked = self.begin(context)
        branches: list[Branch] = []
        for position, job_id in enumerate(self.group.jobs):
            if job_id in asked.wanted:
                branches += self._branches(position, job_id, context, forced=job_id in asked.forced)
        width = min(self.group.width, conf.getint("core", "max_map_length", fallback=MAX_MAP_LENGTH))
        found = bundled(branches, width)
        if len(found) < len(branches):
            self.log.info("%d branches in %d tasks per step", len(branches), len(found))
        return [bundle.to_json() for bundle in found]

    def _branches(self, position: int, job_id: JobId, context: Context, *, forced: bool) -> list[Branch]:
        if self.unit_is_done(Unit(job_id, "gather"), context):
            self.log.info("%s: done already", job_id)
            return []
        if not self.unit_is_done(Unit(job_id, "scatter"), context):
            self.log.warning("%s: scatter is not done, so there are no branches", job_id)
            return []
        try:
            items, unfinished = self.settled(job_id)
        except WorkItemsError as error:
            # Another try would read the same file.
            raise AirflowFailException(str(error)) from error
        open_branches = {found.branch for found in unfinished}
        self.log.info("%s: %d work items, %d of their branches done", job_id, len(items), len(items) - len(unfinished))
        if forced:
            open_branches = set(range(len(items)))
        return [Branch.of(self.group, position, item) for item in items if item.index in open_branches]

    def settled(self, job_id: JobId) -> tuple[tuple[WorkItem, ...], tuple[UnfinishedBranch, ...]]:
        """The work items of a job, each given to its branch, and the branches that are not done."""
        items = read_work_items(self.store, job_id)
        return items, settle_branches(self.store, job_id, self.repx_run.jobs[job_id], items)


class StepOperator(PartOperator):
    """Run one step in the branches that fall to this task's map index.

    :param step: the name of the step
    """

    def __init__(self, *, step: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step
        self._bundle: Bundle | None = None

    def branch_label(self, instance: Any) -> str:
        """What the UI shows instead of a map index: the first branch, and how many follow."""
        return self._bundle_of(instance).label

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Run or reuse the step in each branch; what a single branch fails of is this task's failure.

        In a bundle of several, a branch that fails does not stop the others: the task goes on as long as one of them
        does, and the last step fails for all of its bundle that is not done. When that task is tried again, it runs
        what is missing before it, too.
        """
        self.begin(context)
        units = step_units(self.group, self.step, self._bundle_of(context["ti"]))
        outcomes: list[JobOutcome] = []
        errors: list[RepxError] = []
        waiting: list[str] = []
        for unit in units:
            try:
                found = self._run_branch(unit, context, alone=len(units) == 1)
            except RepxError as error:
                self.log.error("%s: %s", unit, error)  # noqa: TRY400 - its traceback follows when the task fails
                errors.append(error)
                continue
            if found is None:
                waiting.append(str(unit))
                continue
            self.log.info("%s", found.describe())
            outcomes.append(found)
        done = [outcome for outcome in outcomes if outcome.status == "succeeded"]
        if not done or self._is_last or self.killed:
            self.raise_failure(context, outcomes, errors)
            if waiting and (done or len(units) > 1):
                self.fail(f"{len(waiting)} of {len(units)} branches are not done, see above: {', '.join(waiting)}")
            if not done:
                raise AirflowSkipException("Nothing was started; see above.")
        return [outcome.summary() for outcome in outcomes]

    @property
    def _is_last(self) -> bool:
        return not any(self.step in step.deps for step in self.group.steps)

    def _run_branch(self, unit: Unit, context: Context, *, alone: bool) -> JobOutcome | None:
        """Run the step in one branch; `None` when it may not start. The outcome may be that of a step before it."""
        if not self.unit_is_done(unit, context):
            if self.is_stopped_by_failure(context):
                self.log.warning("%s is skipped: a job of this DAG run failed and continue_on_failure is false", unit)
                return None
            for before in units_before(self.group, unit):
                if alone or self.unit_is_done(before, context):
                    continue
                if context["ti"].try_number == 1:
                    self.log.warning("%s is skipped: %s is not done", unit, before)
                    return None
                outcome = self.run_unit(before, context)
                if outcome is None or outcome.status != "succeeded":
                    return outcome
        return self.run_unit(unit, context)

    def _bundle_of(self, instance: Any) -> Bundle:
        if self._bundle is None:
            found = instance.xcom_pull(task_ids=self.group.branches_task_id)
            self._bundle = Bundle.from_json(found[instance.map_index])
        return self._bundle


class GatherOperator(PartOperator):
    """Run the gather of the jobs that fall to this task's map index, once all of their branches have ended.

    Fails where a branch has failed, and says which; is skipped where the job was not started.
    """

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Run or reuse each gather; fail with all causes when any cannot run or failed."""
        wanted = self.begin(context).wanted
        units = [unit for unit in part_units(self.group, "gather", _index(context)) if unit.job_id in wanted]
        if not units:
            raise AirflowSkipException(_NOT_WANTED)
        outcomes: list[JobOutcome] = []
        errors: list[RepxError] = []
        problems: list[str] = []
        for unit in units:
            try:
                problem = self._problem(unit, context)
                outcome = None if problem is not None else self.run_unit(unit, context)
            except RepxError as error:
                self.log.error("%s: %s", unit, error)  # noqa: TRY400 - its traceback follows when the task fails
                errors.append(error)
                continue
            if problem:
                problems.append(problem)
            if outcome is not None:
                self.log.info("%s", outcome.describe())
                outcomes.append(outcome)
        self.raise_failure(context, outcomes, errors)
        if problems:
            self.fail("\n".join(problems))
        if not outcomes:
            raise AirflowSkipException("Nothing was started; see above.")
        return [outcome.summary() for outcome in outcomes]

    def _problem(self, unit: Unit, context: Context) -> str | None:
        """Why gather cannot run: a text when the task is to fail, an empty one when the job was not started."""
        if self.unit_is_done(unit, context):
            return None
        text = self._unfinished(unit, context)
        if text is None and self.is_stopped_by_failure(context):
            self.log.warning("%s is skipped: a job of this DAG run failed and continue_on_failure is false", unit)
            return ""
        if text is None:
            return None
        tasks = [task_id for task_id in self.group.task_ids if task_id != self.group.gather.task_id]
        if self.count(context, tasks, "failed", "upstream_failed") or self.store.job(unit.job_id).fail.exists():
            return text
        self.log.warning("%s", text)
        return ""

    def _unfinished(self, unit: Unit, context: Context) -> str | None:
        scatter = Unit(unit.job_id, "scatter")
        if not self.unit_is_done(scatter, context):
            paths = scatter.paths(self.store)
            why = f"scatter failed; log: {paths.stderr}" if paths.fail.exists() else "scatter was not run"
            return f"{unit.job_id}: {why}. So gather cannot run."
        items = read_work_items(self.store, unit.job_id)
        unfinished = settle_branches(self.store, unit.job_id, self.repx_run.jobs[unit.job_id], items)
        return describe_unfinished(unit.job_id, self.store, unfinished, len(items)) if unfinished else None


def _index(context: Context) -> int:
    index: int | None = context["ti"].map_index
    return -1 if index is None else index
