"""What an Airflow connection of type ``slurm`` says, checked field by field.

The connection's fields are listed in ``get_provider_info``; all of them lie in its extra. How a machine is reached is
the business of the ``ssh`` connection that it names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.targets import SlurmDefaults, Target

if TYPE_CHECKING:
    from airflow.sdk import Connection

__all__ = [
    "CONNECTION_TYPE",
    "SlurmConnection",
    "aread_connection",
    "read_connection",
    "slurm_connection",
    "target_name",
]

CONNECTION_TYPE = "slurm"


class SlurmConnection(BaseModel):
    """One connection of type ``slurm``.

    Attributes:
        ssh_conn_id: The ``ssh`` connection of the machine that has Slurm's commands; absent: this very machine.
        base_path: Folder for outputs and shipped labs, on a file system that the nodes share.
        partition: Where jobs go that name none; absent: the cluster's default.
        account: The account that jobs are charged to.
        qos: The quality of service of jobs.
        poll_interval: Seconds between looks at the queue, at most; absent: quick at first, then less often.
        umask: Octal, for everything that is written; ``0007`` for a store that a group shares.
        job_url: Address of a job's page at the cluster's web interface, with ``{job}`` for its number.
        file_url: Address of a file there, with ``{path}``.

    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    ssh_conn_id: str | None = None
    base_path: Path | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    poll_interval: float | None = Field(default=None, gt=0)
    umask: str | None = Field(default=None, pattern=r"^0?[0-7]{3}$")
    job_url: str | None = Field(default=None, pattern=r"^https?://")
    file_url: str | None = Field(default=None, pattern=r"^https?://")

    @field_validator("*", mode="before")
    @classmethod
    def _blank_is_absent(cls, value: Any) -> Any:
        # A form sends an empty text for a field that nobody filled in.
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("base_path")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_absolute():
            raise ValueError(f"{path} is relative; give an absolute path")
        return path

    @property
    def defaults(self) -> SlurmDefaults:
        """What jobs get where nothing else is said."""
        return SlurmDefaults(
            partition=self.partition,
            account=self.account,
            qos=self.qos,
            umask=self.umask,
            poll_interval=self.poll_interval,
            job_url=self.job_url,
            file_url=self.file_url,
        )

    def target(self, conn_id: str) -> Target:
        """The target that the connection describes; raises `TargetError` without a base path."""
        if self.base_path is None:
            raise TargetError(
                f"connection {conn_id!r}: base_path: is not set. Give the folder on the cluster's shared file system"
                " that shall hold outputs, logs and shipped labs."
            )
        return Target(
            name=target_name(conn_id),
            base_path=self.base_path,
            scheduler="slurm",
            connection=conn_id,
            ssh_connection=self.ssh_conn_id,
            slurm=self.defaults,
        )


def target_name(conn_id: str) -> str:
    """The name of the target that a connection describes, in pools and rules: its id, odd characters replaced."""
    name = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_.-") else "_" for letter in conn_id)
    return name if name[:1].isalnum() else f"c{name}"


def slurm_connection(connection: Connection) -> SlurmConnection:
    """Check a connection; raises `TargetError` that names the connection and each wrong field."""
    where = f"connection {connection.conn_id!r}"
    if connection.conn_type != CONNECTION_TYPE:
        raise TargetError(
            f"{where}: it is of type {connection.conn_type!r}. Give the id of one of type {CONNECTION_TYPE!r}, which"
            " may name an `ssh` connection in its field ssh_conn_id."
        )
    try:
        return SlurmConnection.model_validate(connection.extra_dejson)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise TargetError(f"{where}: {faults}.") from error


def read_connection(conn_id: str) -> SlurmConnection:
    """Look up a connection and check it; raises `TargetError` that names it."""
    try:
        return slurm_connection(BaseHook.get_connection(conn_id))
    except AirflowNotFoundException as error:
        raise _missing(conn_id) from error


async def aread_connection(conn_id: str) -> SlurmConnection:
    """As `read_connection`, where nothing may block: in the triggerer."""
    try:
        return slurm_connection(await BaseHook.aget_connection(conn_id))
    except AirflowNotFoundException as error:
        raise _missing(conn_id) from error


def _missing(conn_id: str) -> TargetError:
    return TargetError(
        f"connection {conn_id!r}: there is none. Create it with type {CONNECTION_TYPE!r} under Admin, Connections, or"
        " as environment variable AIRFLOW_CONN_<ID>."
    )
