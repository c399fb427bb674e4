"""One connection to a machine: made with the settings' keys and host keys, and every failure put into words."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import Any, cast

import asyncssh

from airflow_provider_repx.errors import HostKeyError, TransportError, UnreachableError
from airflow_provider_repx.execution.transport.ssh_settings import SshSettings

__all__ = ["connect", "is_passing"]

_log = logging.getLogger(__name__)
# It tells every session at level INFO: thousands of lines in the log of a task.
logging.getLogger("asyncssh").setLevel(logging.WARNING)

_SIGNS_OF_LIFE = 3
_MACHINE_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


class _Client(asyncssh.SSHClient):
    """Remembers the host key that was refused, for the message."""

    def __init__(self) -> None:
        self.refused: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        # The arguments are the library's; it asks only for keys that are not trusted.
        self.refused = key
        return False


async def connect(settings: SshSettings) -> asyncssh.SSHClientConnection:
    """Connect and log in.

    Raises:
        HostKeyError: the machine's host key is unknown or not the known one.
        UnreachableError: it does not answer now.
        TransportError: it cannot be reached in this way at all, or lets nobody in.

    """
    client = _Client()
    where = settings.destination
    for file in (settings.key_file, settings.config_file, settings.known_hosts):
        if file is not None and not os.access(file.expanduser(), os.R_OK):
            raise TransportError(f"{where}: {file} does not exist or cannot be read. Correct its path.")
    try:
        options = await _options(settings, client)
        where = f"{options.username}@{options.host or settings.host}:{options.port}"
        if not settings.verify_host_key:
            _log.warning(
                "%s: its host key is not checked, as the settings say: anybody could answer in its place", where
            )
        trusted = _known_hosts(settings, options)
        # Given once more for the jumps, which are connections of their own.
        config = [str(settings.config_file)] if settings.config_file is not None else ()
        return await asyncssh.connect(settings.host, options=options, known_hosts=trusted, config=config)
    except asyncssh.HostKeyNotVerifiable as error:
        raise _host_key_error(settings, where, client.refused, error) from error
    except asyncssh.KeyExchangeFailed as error:
        if "host key" in str(error).lower():
            raise _host_key_error(settings, where, client.refused, error) from error
        raise _unreachable(where, error) from error
    except asyncssh.PermissionDenied as error:
        raise TransportError(
            f"{where}: nobody was let in ({error.reason}). Check the user and that one of these is accepted there:"
            f" {_credentials(settings)}."
        ) from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise TransportError(
            f"{where}: the private key cannot be used ({error}). Check the file, and the passphrase if it is encrypted:"
            f" {_credentials(settings)}."
        ) from error
    except (asyncssh.Error, OSError, ValueError, asyncio.TimeoutError) as error:
        raise _unreachable(where, error) from error


async def _options(settings: SshSettings, client: _Client) -> asyncssh.SSHClientConnectionOptions:
    """Everything the library needs; what the settings leave open it reads from the SSH configuration file itself."""
    given: dict[str, Any] = {
        "host": settings.host,
        "client_factory": lambda: client,
        "connect_timeout": settings.connect_timeout,
        "login_timeout": settings.connect_timeout,
        "keepalive_interval": settings.keepalive_interval,
        "keepalive_count_max": _SIGNS_OF_LIFE,
        "encoding": None,
        "term_type": None,
    }
    optional = {
        "port": settings.port,
        "username": settings.user,
        "password": settings.password and settings.password.get_secret_value(),
        "passphrase": settings.passphrase and settings.passphrase.get_secret_value(),
        "config": settings.config_file and [str(settings.config_file)],
    }
    given.update({name: value for name, value in optional.items() if value})
    if settings.private_key is not None:
        secret = settings.private_key.get_secret_value()
        given["client_keys"] = [asyncssh.import_private_key(secret, given.get("passphrase"))]
    elif settings.key_file is not None:
        given["client_keys"] = [str(settings.key_file.expanduser())]
    if not settings.use_agent:
        given["agent_path"] = None
    construct = asyncssh.SSHClientConnectionOptions.construct
    return cast("asyncssh.SSHClientConnectionOptions", await construct(None, **given))


def _known_hosts(settings: SshSettings, options: asyncssh.SSHClientConnectionOptions) -> Any:
    """Who is trusted, in the library's terms, where `None` trusts everybody and empty bytes nobody."""
    if not settings.verify_host_key:
        return None
    if settings.host_key is not None:
        return ([asyncssh.import_public_key(settings.host_key)], [], [])
    if settings.known_hosts is not None:
        files = [settings.known_hosts.expanduser()]
    elif isinstance(options.known_hosts, list) and options.known_hosts:
        files = [Path(str(file)).expanduser() for file in options.known_hosts]
    elif options.known_hosts is None:
        # `UserKnownHostsFile none` of the configuration file: to OpenSSH that means that nobody is known.
        files = []
    else:
        files = [Path("~/.ssh/known_hosts").expanduser(), _MACHINE_KNOWN_HOSTS]
    readable = [str(file) for file in files if file.is_file()]
    return readable or b""


def _host_key_error(
    settings: SshSettings, where: str, refused: asyncssh.SSHKey | None, error: Exception
) -> HostKeyError:
    file = settings.known_hosts or "~/.ssh/known_hosts"
    trusted = "the host key of the settings" if settings.host_key is not None else f"{file}"
    shown = f" It showed {refused.get_algorithm()} {refused.get_fingerprint()}." if refused is not None else ""
    return HostKeyError(
        f"{where}: its host key is not in {trusted}, or is not the one that is known there ({error}).{shown} Compare"
        " this fingerprint with what the machine's administrator says (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub"
        " there). If it is right, add the key: ssh-keyscan. If another key was known before, somebody may be listening."
    )


def _credentials(settings: SshSettings) -> str:
    found = []
    if settings.private_key is not None:
        found.append("the private key of the settings")
    elif settings.key_file is not None:
        found.append(f"the key {settings.key_file}")
    else:
        found.append("the keys of ~/.ssh or of the SSH configuration file")
    if settings.use_agent:
        found.append("the agent's keys")
    if settings.password is not None:
        found.append("the password")
    return ", ".join(found)


def _unreachable(where: str, error: Exception) -> TransportError:
    reason = str(error) or type(error).__name__
    # A name that nobody knows is rather wrong than away.
    is_away = isinstance(error, (asyncssh.DisconnectError, OSError, asyncio.TimeoutError)) and not isinstance(
        error, (asyncssh.KeyExchangeFailed, asyncssh.IllegalUserName, socket.gaierror)
    )
    return (UnreachableError if is_away else TransportError)(
        f"{where}: cannot be reached ({reason}). Check the host, the port and the network, and that `ssh` gets there"
        " from this machine as this user."
    )


def is_passing(error: TransportError) -> bool:
    """Whether another try in a moment may connect: the network or a server that is busy, not a wrong key."""
    cause = error.__cause__
    if isinstance(error, HostKeyError) or isinstance(cause, (asyncssh.PermissionDenied, socket.gaierror)):
        return False
    return isinstance(cause, (asyncssh.DisconnectError, ConnectionError)) and not isinstance(
        cause, (asyncssh.KeyExchangeFailed, asyncssh.IllegalUserName)
    )
