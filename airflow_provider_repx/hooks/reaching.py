"""From a target to the way to its machine, with what Airflow's connections say about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from pydantic import SecretStr, ValidationError

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.execution.transport import LocalTransport, SshSettings, Transport, ssh_settings_of_address

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_repx.targets import Target

__all__ = ["Connector", "aconnector", "connector", "ssh_settings"]

_SSH_PORT = 22


@dataclass(frozen=True)
class Connector:
    """A way to a machine, not yet taken.

    `name` says which way it is; `key` also tells it from what it was before somebody changed its connection, within
    this process.
    """

    name: str
    key: str
    open: Callable[[], Transport]


def connector(target: Target) -> Connector:
    """How a target is reached; raises `TargetError` that names the connection and what is wrong with it."""
    return _connector(target, _found(target))


async def aconnector(target: Target) -> Connector:
    """As `connector`, where nothing may block: in the triggerer."""
    if target.ssh_connection is None:
        return _connector(target, None)
    try:
        return _connector(target, await BaseHook.aget_connection(target.ssh_connection))
    except AirflowNotFoundException as error:
        raise _missing(target.ssh_connection) from error


def _found(target: Target) -> Connection | None:
    if target.ssh_connection is None:
        return None
    try:
        return BaseHook.get_connection(target.ssh_connection)
    except AirflowNotFoundException as error:
        raise _missing(target.ssh_connection) from error


def _missing(conn_id: str) -> TargetError:
    return TargetError(
        f"connection {conn_id!r}: there is none. Create it with type 'ssh', or empty the field ssh_conn_id of the"
        " `slurm` connection that names it."
    )


def _connector(target: Target, connection: Connection | None) -> Connector:
    if connection is not None:
        name, settings = f"ssh connection {target.ssh_connection}", ssh_settings(connection)
        # Of what is secret there nothing can be told by the hash, which is another one in each process.
        return Connector(name, f"{name} {hash(settings)}", partial(_over_ssh, settings))
    if target.address is not None:
        name, settings = f"address {target.address}", ssh_settings_of_address(target.address)
        return Connector(name, name, partial(_over_ssh, settings))
    return Connector("this machine", "this machine", LocalTransport)


def _over_ssh(settings: SshSettings) -> Transport:
    # Reading a DAG file must not pay for the SSH library.
    from airflow_provider_repx.execution.transport import SshTransport  # noqa: PLC0415 - see above

    return SshTransport(settings)


def ssh_settings(connection: Connection) -> SshSettings:
    """What an Airflow connection of type ``ssh`` says, in the words of Airflow's SSH provider.

    Raises `TargetError` that names the connection and the field; never the value, which may be a secret.
    """
    where = f"connection {connection.conn_id!r}"
    if connection.conn_type != "ssh":
        raise TargetError(f"{where}: it is of type {connection.conn_type!r}, but must be of type 'ssh'.")
    if not connection.host:
        raise TargetError(f"{where}: host: is not set. Give the name of the machine that has Slurm's commands.")
    extra = connection.extra_dejson
    given: dict[str, Any] = {
        "host": connection.host,
        "port": connection.port if connection.port not in (None, _SSH_PORT) else None,
        "user": connection.login,
        "password": _secret(connection.password),
        "key_file": _path(extra.get("key_file")),
        "private_key": _secret(extra.get("private_key")),
        "passphrase": _secret(extra.get("private_key_passphrase")),
        "known_hosts": _path(extra.get("known_hosts")),
        "config_file": _path(extra.get("config_file")),
        "host_key": _host_key(extra.get("host_key")),
        "verify_host_key": not _is_true(extra.get("no_host_key_check")),
        "use_agent": not _is_false(extra.get("look_for_keys")),
        "connect_timeout": extra.get("conn_timeout"),
    }
    if given["key_file"] is not None and given["private_key"] is not None:
        raise TargetError(f"{where}: key_file and private_key are both set. Keep one of them.")
    try:
        return SshSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise TargetError(f"{where}: {faults}.") from None


def _secret(text: str | None) -> SecretStr | None:
    return SecretStr(text) if text else None


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


def _host_key(text: str | None) -> str | None:
    if not text or not text.strip():
        return None
    words = text.split()
    # Airflow takes a key without its type as one of type RSA.
    return " ".join(words[:2]) if len(words) > 1 else f"ssh-rsa {words[0]}"


def _is_true(value: object) -> bool:
    return str(value).lower() == "true"


def _is_false(value: object) -> bool:
    return str(value).lower() == "false"
