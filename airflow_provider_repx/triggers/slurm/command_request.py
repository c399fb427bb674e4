"""What a `SlurmOperator` tells its trigger, besides what is templated."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_repx.targets import Resources

__all__ = ["CommandRequest"]


class CommandRequest(BaseModel):
    """Where and with what a command runs; holds no secret.

    Attributes:
        conn_id: The connection of type ``slurm``.
        mem: Bytes.
        cpus: CPUs of the one task that the job has.
        time: Seconds.
        partition: The partition; absent: the connection's.
        account: The account; absent: the connection's.
        qos: The quality of service; absent: the connection's.
        sbatch_opts: Further options of sbatch, one each.
        retry_on: Causes of a failure after which another try makes sense.
        log_lines: How many lines of the job's log are copied into the task's log.
        push: Whether the result is pushed as an XCom.
        adopt: Whether the success of an earlier try is this one's: nobody has cleared the task since.
        deadline: When the task ends its job and fails, in seconds since 1970: the operator's execution timeout.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    conn_id: str
    mem: int | None = Field(default=None, ge=1)
    cpus: int | None = Field(default=None, ge=1)
    time: int | None = Field(default=None, ge=1)
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    sbatch_opts: tuple[str, ...] = ()
    retry_on: tuple[str, ...] = ()
    log_lines: int = Field(default=20, ge=0)
    push: bool = True
    adopt: bool = False
    deadline: float | None = None

    @property
    def resources(self) -> Resources:
        """What the job asks for."""
        return Resources(
            mem=self.mem, cpus=self.cpus, time=self.time, partition=self.partition, sbatch_opts=self.sbatch_opts
        )

    def dump(self) -> str:
        """As text; the same request gives the same text."""
        return self.model_dump_json(exclude_defaults=True)

    @classmethod
    def load(cls, text: str) -> CommandRequest:
        """The opposite of `dump`."""
        return cls.model_validate_json(text)
