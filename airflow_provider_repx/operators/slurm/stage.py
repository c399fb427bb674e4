"""Jobs of a run on Slurm, as tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import TriggerRule
from airflow.triggers.base import StartTriggerArgs

from airflow_provider_repx.links import SlurmJobLink, SlurmLogLink
from airflow_provider_repx.operators.base import RunTaskOperator, claimant_of
from airflow_provider_repx.operators.slurm.start import Start, starts_from_triggerer
from airflow_provider_repx.triggers.slurm import SlurmStageTrigger, StageRequest, Verdict

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_repx.plan import PlanOptions

__all__ = ["SlurmRunTaskOperator", "SlurmStageOperator"]


class SlurmRunTaskOperator(RunTaskOperator):
    """Base of what runs jobs of a lab's run, or parts of them, on the target's cluster.

    :param stage: the task id of the planned stage, or the group id of the planned scatter-gather stage
    :param options: what the plan was made with, so that the triggerer makes the same
    :param start: ``triggerer`` (``auto``): without a worker; ``worker``: after waiting for slots of the pool
    :param gates: ids of the tasks that must have succeeded before any job of the run may start
    :param sync_task: id of the task that ships the lab to the target, where there is one
    :param retry_failed_jobs: also try jobs again that exited with an error
    :param part: which part of a scatter-gather stage, and `step`: which step
    """

    ui_color = "#dcefe0"
    operator_extra_links = (SlurmJobLink(), SlurmLogLink())
    shallow_copy_attrs: Sequence[str] = (*RunTaskOperator.shallow_copy_attrs, "request")
    trigger_class: type[SlurmStageTrigger] = SlurmStageTrigger

    def __init__(
        self,
        *,
        stage: str,
        options: PlanOptions,
        start: Start = "auto",
        gates: Sequence[str] = (),
        sync_task: str | None = None,
        retry_failed_jobs: bool = False,
        part: Literal["scatter", "step", "gather"] | None = None,
        step: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Where everything upstream must have succeeded, Airflow itself sees to it that the gates have opened.
        checked = () if self.trigger_rule == TriggerRule.ALL_SUCCESS else tuple(gates)
        self.request = StageRequest(
            lab_name=self.lab_name,
            lab_path=self.lab.path,
            lab_id=self.lab.lab_id,
            run=self.plan.run,
            stage=stage,
            part=part,
            step=step,
            target=self.target,
            options=options,
            gates=checked,
            sync_task=sync_task,
            retry_failed_jobs=retry_failed_jobs,
            # A bundle of branches goes on without those that were lost when no try is left for them.
            retries=(self.retries or 0) if part == "step" else 0,
            push=bool(self.do_xcom_push),
        )
        self.start_from_trigger = starts_from_triggerer(self, start)
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{self.trigger_class.__module__}.{self.trigger_class.__qualname__}",
            trigger_kwargs={"request": self.request.dump()},
            next_method="execute_complete",
        )

    def execute(self, context: Context) -> None:
        """Hand over to the triggerer."""
        self.require_same_lab(context)
        self.require_same_plan(context)
        self.defer(
            trigger=self.trigger_class(
                request=self.request.dump(),
                claimant=SlurmStageTrigger.dump_claimant(claimant_of(context)),
                params=dict(context["params"]),
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:  # noqa: ARG002 - Airflow's
        """Take the trigger's word."""
        verdict = Verdict.from_event(event)
        # Whatever comes of it, Airflow asks for the links when the task has ended.
        self.slurm_links = verdict.xcoms
        return verdict.conclude().get("return_value")


class SlurmStageOperator(SlurmRunTaskOperator):
    """Run the jobs of one stage that fall to this task's map index, on the target's cluster.

    A job that is done in the store is reused. A job whose upstream jobs are not done is skipped. A job that fails by
    itself is final, whatever `retries` says, unless `retry_failed_jobs`: retries are for lost nodes and connections.
    The arguments are those of `SlurmRunTaskOperator`.
    """

    shallow_copy_attrs: Sequence[str] = (*SlurmRunTaskOperator.shallow_copy_attrs, "chain")

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        super().__init__(stage=stage, **kwargs)
        planned = self.plan.stages[stage]
        self.chain = next(chain for chain in self.plan.chains if planned in chain.stages)

    def point_label(self, map_index: int) -> str:
        """What the UI shows instead of a map index: the parameters of its first point, and how many follow."""
        return self.chain.label_of(map_index)
