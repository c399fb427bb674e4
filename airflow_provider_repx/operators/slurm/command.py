"""Any script or command as a Slurm job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time as now
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.triggers.base import StartTriggerArgs

from airflow_provider_repx.errors import SlurmSubmissionError
from airflow_provider_repx.execution.slurm import Directives
from airflow_provider_repx.execution.slurm.states import CAUSES
from airflow_provider_repx.lab.units import parse_memory, parse_time
from airflow_provider_repx.links import SlurmJobLink, SlurmLogLink
from airflow_provider_repx.operators.base import claimant_of
from airflow_provider_repx.operators.slurm.start import Start, starts_from_triggerer
from airflow_provider_repx.triggers.slurm import CommandRequest, SlurmCommandTrigger, Verdict

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["SlurmOperator"]


class SlurmOperator(BaseOperator):
    """Run a script, or a command with arguments, as one Slurm job, and wait for it without a worker.

    The job runs in a folder of its own below the connection's base path, ``commands/<dag>/<run>/<task>/try-<n>/out``;
    its logs are in ``repx`` beside it. Nothing of script, command or environment ever becomes part of a shell line.

    Retries are by cause: a job that a node, a preemption or a broken connection ended is tried again as often as
    `retries` says; one that exited with an error, or ran out of memory or time, is final, unless `retry_on` names the
    cause.

    When the task is marked as failed, marked as successful or cleared, its job is cancelled, and a new try starts when
    that has ended; when a worker, triggerer or scheduler is killed, the job goes on and is found again.

    Args:
        slurm_conn_id: The connection of type `slurm`.
        script: The script's text; its first line may name an interpreter, else it is bash. Templated.
        command: The program and its arguments, in place of a script. Templated.
        environment: Further variables of the job; they are written to a file on the cluster. Templated.
        cpus: CPUs.
        mem: Memory, such as ``4G``.
        time: Time limit, such as ``02:00:00`` or ``1-12:00:00``.
        partition: The partition; default: the connection's, else the cluster's.
        account: The account; default: the connection's.
        qos: The quality of service; default: the connection's.
        sbatch_opts: Further options of sbatch, one each, such as ``--gres=gpu:2``.
        retry_on: Causes after which another try makes sense, such as ``OUT_OF_MEMORY``, ``TIMEOUT``, ``exit code``.
        start: ``triggerer``: without a worker; ``worker``: on a worker, which then hands over; ``auto``: without a
            worker, unless the task has outlets, a callback on success, an execution timeout, a pool of its own, or
            arguments that a triggerer cannot render: values of other tasks, variables, connections.
        log_lines: How many last lines of the job's output are copied into the task's log.

    Returns the Slurm job, node, exit code, elapsed seconds, memory where it is known, and the paths of folder and logs.
    """

    template_fields: Sequence[str] = ("script", "command", "environment")
    template_fields_renderers = {"script": "bash", "command": "json", "environment": "json"}  # noqa: RUF012 - Airflow's
    operator_extra_links = (SlurmJobLink(), SlurmLogLink())
    ui_color = "#dcefe0"

    def __init__(  # noqa: PLR0913 - what a user may ask of Slurm
        self,
        *,
        slurm_conn_id: str = "slurm_default",
        script: str | None = None,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        cpus: int | None = None,
        mem: str | None = None,
        time: str | None = None,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        sbatch_opts: Sequence[str] = (),
        retry_on: Sequence[str] = (),
        start: Start = "auto",
        log_lines: int = 20,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (script is None) == (command is None):
            raise ValueError(f"task {self.task_id}: give exactly one of `script` and `command`")
        if isinstance(command, str):
            raise ValueError(f"task {self.task_id}: `command` is a list of program and arguments; for a line, `script`")  # noqa: TRY004 - Airflow shows it as an import error
        if isinstance(sbatch_opts, str):
            raise ValueError(f"task {self.task_id}: `sbatch_opts` is a list, one option each")  # noqa: TRY004 - as above
        if unknown := sorted(set(retry_on) - CAUSES):
            known = ", ".join(sorted(CAUSES))
            raise ValueError(f"task {self.task_id}: retry_on: {', '.join(unknown)}: no such cause; there are: {known}")
        self.script = script
        self.command = command
        self.environment = environment
        self.slurm_conn_id = slurm_conn_id
        self.request = CommandRequest(
            conn_id=slurm_conn_id,
            mem=None if mem is None else parse_memory(mem),
            cpus=cpus,
            time=None if time is None else parse_time(time),
            partition=partition,
            account=account,
            qos=qos,
            sbatch_opts=tuple(sbatch_opts),
            retry_on=tuple(retry_on),
            log_lines=log_lines,
            push=bool(self.do_xcom_push),
        )
        try:
            Directives.of(self.request.resources).lines()
        except SlurmSubmissionError as error:
            raise ValueError(f"task {self.task_id}: {error}") from error
        self.start_from_trigger = starts_from_triggerer(self, start, (script, command, environment))
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{SlurmCommandTrigger.__module__}.{SlurmCommandTrigger.__qualname__}",
            trigger_kwargs={
                "request": self.request.dump(),
                "script": script,
                "command": None if command is None else list(command),
                "environment": None if environment is None else dict(environment),
            }
            if self.start_from_trigger
            else {"request": self.request.dump()},
            next_method="execute_complete",
        )

    def execute(self, context: Context) -> None:
        """Hand over to the triggerer."""
        # A clear raises the number of tries that a task may have. Where there was none, an earlier try has failed by
        # itself; if its job has succeeded, its worker died at the very end.
        was_never_cleared = getattr(context["ti"], "max_tries", None) == (self.retries or 0)
        request = self.request.model_copy(update={"adopt": was_never_cleared})
        if self.execution_timeout is not None:
            # Airflow's own timeout of a trigger would leave the job behind.
            deadline = now() + self.execution_timeout.total_seconds()
            request = request.model_copy(update={"deadline": deadline})
        self.defer(
            trigger=SlurmCommandTrigger(
                request=request.dump(),
                script=self.script,
                command=self.command,
                environment=self.environment,
                claimant=SlurmCommandTrigger.dump_claimant(claimant_of(context)),
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:  # noqa: ARG002 - Airflow's
        """Take the trigger's word."""
        verdict = Verdict.from_event(event)
        # Whatever comes of it, Airflow asks for the links when the task has ended.
        self.slurm_links = verdict.xcoms
        return verdict.conclude().get("return_value")
