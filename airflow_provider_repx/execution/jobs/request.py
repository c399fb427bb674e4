"""What is asked of this machine: one job, or one part of a scatter-gather job."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from airflow_provider_repx.execution.store import Claimant, OutputStore
from airflow_provider_repx.execution.units import Unit, UnitPart
from airflow_provider_repx.lab.models import JobId

if TYPE_CHECKING:
    from airflow_provider_repx.lab import Lab

__all__ = ["JobRequest"]


@dataclass(frozen=True)
class JobRequest:
    """Run one job of a lab on this machine, or one part of it, unless it is done.

    Attributes:
        lab: The lab, open, so that the script's checksum can be verified.
        run: The run of the lab that the job is taken from.
        job_id: The job.
        store: Where its outputs go, and those of its producers are.
        claimant: On whose behalf.
        force: Run it although it is done, unless it was this very DAG run that has done so.
        grace: Seconds between TERM and KILL when the job is to stop. Airflow kills a worker five seconds after it asked
            it to end, so the default leaves time to write the outcome down.
        time_limit: Seconds after which the job is killed, with the cause ``TIMEOUT``. As in RepX there is none unless
            asked for.
        execution_type: How the script is run.
        pass_environment: Names or patterns of further variables that the job inherits from the worker; never Airflow's.
        part: ``main`` for a simple job; of a scatter-gather job ``scatter``, ``step`` or ``gather``.
        branch: The branch of a step, from 0.
        step: The name of a step.

    """

    lab: Lab
    run: str
    job_id: JobId
    store: OutputStore
    claimant: Claimant
    force: bool = False
    grace: float = 3.0
    time_limit: float | None = None
    execution_type: Literal["native"] = "native"
    pass_environment: tuple[str, ...] = ()
    part: UnitPart = "main"
    branch: int | None = None
    step: str | None = None

    @cached_property
    def unit(self) -> Unit:
        """What is to be run; raises `StoreError` when `branch` and `step` do not belong to `part`."""
        return Unit(self.job_id, self.part, self.branch, self.step)
