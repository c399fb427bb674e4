"""A user's own command on Slurm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.execution.slurm import Directives, JobKey, Progress, SlurmCluster, SlurmJob, SlurmOutcome
from airflow_provider_repx.execution.slurm.target import Question
from airflow_provider_repx.execution.store import Claimant
from airflow_provider_repx.execution.units.command import PreparedCommand, prepare_command, prepare_script
from airflow_provider_repx.hooks.slurm_connection import aread_connection
from airflow_provider_repx.links import slurm_links
from airflow_provider_repx.targets import SlurmDefaults, Target
from airflow_provider_repx.triggers.slurm.base import SlurmTrigger
from airflow_provider_repx.triggers.slurm.clusters import apart, cluster_of
from airflow_provider_repx.triggers.slurm.command_request import CommandRequest
from airflow_provider_repx.triggers.slurm.files import ship_command_runner, tails
from airflow_provider_repx.triggers.slurm.questions import push_result
from airflow_provider_repx.triggers.slurm.verdict import Verdict

__all__ = ["SlurmCommandTrigger"]


class SlurmCommandTrigger(SlurmTrigger):
    """Run a script or a command as one Slurm job.

    :param request: a `CommandRequest` as text
    :param script: the script's text
    :param command: the program and its arguments, in place of a script
    :param environment: further variables
    :param claimant: on whose behalf, as JSON; absent when the task starts from the triggerer
    """

    def __init__(
        self,
        *,
        request: str,
        script: str | None = None,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        claimant: str | None = None,
    ) -> None:
        super().__init__(claimant=claimant)
        self.request_text = request
        # These three are rendered by Airflow before `run`, in a task that starts from the triggerer.
        self.script = script
        self.command = command
        self.environment = environment

    def arguments(self) -> dict[str, Any]:
        """What makes another trigger like this one, besides the claimant."""
        return {
            "request": self.request_text,
            "script": self.script,
            "command": None if self.command is None else list(self.command),
            "environment": None if self.environment is None else dict(self.environment),
        }

    @cached_property
    def request(self) -> CommandRequest:
        """What the task asks for."""
        return CommandRequest.load(self.request_text)

    async def verdict(self) -> Verdict:
        """Run the job of this very try, when those of earlier tries have ended."""
        target = await self._target()
        cluster = await cluster_of(target)
        prepared = self._prepared(target, self.claimant)
        job = SlurmJob(
            name=f"{self.claimant.dag_id}.{self.claimant.task_id}",
            paths=prepared.paths,
            executable=prepared.executable,
            inputs=prepared.inputs,
            parameters=prepared.parameters,
            directives=Directives.of(self.request.resources, target.slurm),
            claimant=self.claimant,
            files=prepared.files,
        )
        self.narration.tell(f"folder: {job.paths.root}; log: {job.paths.stderr} and {job.paths.stdout}")
        outcome = await self.patiently(
            lambda: self._run(target, cluster, job), given_up=lambda: self._time_left() == 0.0
        )
        if outcome.status == "succeeded" and outcome.peak_memory is None:
            outcome = replace(outcome, peak_memory=await cluster.peak_memory(outcome.slurm_id))
        return await self._conclude(target, outcome)

    async def cancel(self) -> None:
        """End the job of this very try."""
        target = await self._target()
        cluster = await cluster_of(target)
        await cluster.cancel([self._key(target, self.claimant.try_number)])

    async def _target(self) -> Target:
        request = self.request
        target = (await aread_connection(request.conn_id)).target(request.conn_id)
        given = {"partition": request.partition, "account": request.account, "qos": request.qos}
        chosen = {name: value for name, value in given.items() if value is not None}
        defaults = SlurmDefaults.model_validate(target.slurm.model_dump() | chosen)
        return target.model_copy(update={"slurm": defaults})

    def _prepared(self, target: Target, claimant: Claimant) -> PreparedCommand:
        environment = {name: str(value) for name, value in (self.environment or {}).items()}
        if self.script is not None:
            return prepare_script(self.script, environment, target.base_path, claimant)
        if self.command is None or isinstance(self.command, str):
            raise TargetError("command: give the program and its arguments as a list, or a `script`.")
        return prepare_command([str(word) for word in self.command], environment, target.base_path, claimant)

    def _key(self, target: Target, try_number: int) -> JobKey:
        claimant = replace(self.claimant, try_number=try_number)
        return JobKey(claimant, prepare_script("", {}, target.base_path, claimant).paths)

    async def _run(self, target: Target, cluster: SlurmCluster, job: SlurmJob) -> SlurmOutcome:
        earlier = [self._key(target, number) for number in range(1, job.claimant.try_number)]
        if earlier:
            # A task that is cleared starts anew before the job of its former try has heard of its end.
            await apart(cluster.end(earlier))
        job = await self._adopted(cluster, job, earlier)
        await ship_command_runner(target)
        tell = self.narrator(job.name)

        def progress(news: Progress) -> None:
            tell(news.text)

        running = apart(cluster.run(job, progress))
        try:
            done, _ = await asyncio.wait({running}, timeout=self._time_left())
            if not done:
                self.narration.say(self.log.error, "The task's execution timeout is over: ending its job.")
                await cluster.cancel([JobKey(job.claimant, job.paths)])
            return await running
        finally:
            running.cancel()

    async def _adopted(self, cluster: SlurmCluster, job: SlurmJob, earlier: Sequence[JobKey]) -> SlurmJob:
        """The job of an earlier try that has succeeded and counts for this one; else the given one."""
        if not self.request.adopt:
            return job
        questions = [Question(key.paths.root, key.paths.inputs) for key in earlier]
        looks = await asyncio.gather(*(apart(cluster.look(question)) for question in questions))
        for key, look in zip(reversed(earlier), reversed(looks), strict=True):
            if look.succeeded:
                self.narration.tell(f"The job of try {key.claimant.try_number} has succeeded: it is not run again.")
                return replace(job, paths=key.paths, claimant=key.claimant)
        return job

    def _time_left(self) -> float | None:
        deadline = self.request.deadline
        return None if deadline is None else max(0.0, deadline - time.time())

    async def _conclude(self, target: Target, outcome: SlurmOutcome) -> Verdict:
        stdout, stderr = await tails(target, (outcome.stdout, outcome.stderr), self.request.log_lines)
        self._copy("stdout", stdout)
        links: dict[str, Any] = dict(slurm_links(target.slurm, outcome.slurm_id, outcome.stderr))
        if outcome.status != "succeeded":
            # Its last words on stderr are part of the description.
            retry = outcome.status == "lost" or outcome.cause in self.request.retry_on
            return Verdict("failed", outcome.describe(), retry=retry, xcoms=links)
        self._copy("stderr", stderr)
        self.narration.conclude(outcome.describe(), job=outcome.name)
        result = _figures(outcome)
        if not self.request.push or (self.starts_here and await push_result(self.claimant, result)):
            return Verdict("success", xcoms=links)
        return Verdict("success", xcoms=links | {"return_value": result})

    def _copy(self, stream: str, lines: Sequence[str]) -> None:
        if lines:
            self.narration.say(
                self.log.info, "\n".join([f"last lines of {stream}:", *(f"    {line}" for line in lines)])
            )


def _figures(outcome: SlurmOutcome) -> dict[str, Any]:
    return {
        "slurm_job": outcome.slurm_id,
        "node": outcome.node,
        "exit_code": outcome.exit_code,
        "elapsed": outcome.seconds,
        "cpu_seconds": outcome.cpu_seconds,
        "max_rss": outcome.peak_memory,
        "folder": str(outcome.stdout.parent.parent),
        "stdout": str(outcome.stdout),
        "stderr": str(outcome.stderr),
    }
