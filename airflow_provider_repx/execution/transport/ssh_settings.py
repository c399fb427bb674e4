"""How a machine is reached over SSH."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from airflow_provider_repx.errors import TargetError

__all__ = ["SshSettings", "ssh_settings_of_address"]

_ADDRESS = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[0-9A-Za-z:.%_-]+\]|[^@\s:\[\]]+)(?::(?P<port>\d{1,5}))?")
_HIGHEST_PORT = 65535


class SshSettings(BaseModel):
    """How a machine is reached over SSH; what is absent comes from the SSH configuration file, then from OpenSSH.

    Secrets are in no message and no representation of the settings.

    Attributes:
        host: The machine's name, or an alias of the SSH configuration file.
        port: Its port.
        user: Who logs in.
        key_file: The file of the private key; absent: those of the agent and of ``~/.ssh``.
        private_key: The private key itself, in place of a file.
        passphrase: What decrypts the private key.
        password: The password, for machines that take no key.
        use_agent: Whether an SSH agent (``SSH_AUTH_SOCK``) is asked for keys.
        known_hosts: The file with the host keys that are trusted; absent: those of the user and of the machine.
        host_key: The machine's public host key itself, as ``<type> <base64>``; then no file is asked.
        verify_host_key: `False` connects to whoever answers. A warning is logged each time.
        config_file: The SSH configuration file, with ``ProxyJump`` and all; absent: ``~/.ssh/config``.
        connect_timeout: Seconds until a connection that is not made is given up.
        keepalive_interval: Seconds between signs of life; a connection without any for three of them is broken.
        max_sessions: How many commands may run at once over the one connection; further ones wait. Servers refuse
            more than ``MaxSessions``, by default 10.
        environment: Variables that are set for every command, as pairs of name and value.
        search_path: Folders that are put in front of PATH, where a login without a terminal lacks them.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1, pattern=r"^[^\s-]\S*$")
    port: int | None = Field(default=None, ge=1, le=_HIGHEST_PORT)
    user: str | None = Field(default=None, min_length=1)
    key_file: Path | None = None
    private_key: SecretStr | None = None
    passphrase: SecretStr | None = None
    password: SecretStr | None = None
    use_agent: bool = True
    known_hosts: Path | None = None
    host_key: str | None = Field(default=None, pattern=r"^\S+ \S+$")
    verify_host_key: bool = True
    config_file: Path | None = None
    connect_timeout: float = Field(default=15.0, gt=0)
    keepalive_interval: float = Field(default=15.0, gt=0)
    max_sessions: int = Field(default=8, ge=1)
    environment: tuple[tuple[str, str], ...] = ()
    search_path: tuple[Path, ...] = ()

    @property
    def destination(self) -> str:
        """The machine, as given: ``[user@]host[:port]``."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{user}{host}" if self.port is None else f"{user}{host}:{self.port}"


def ssh_settings_of_address(address: str) -> SshSettings:
    """Read a target's ``address``: ``[user@]host[:port]``, the host in brackets if it is an IPv6 address.

    Raises `TargetError`.
    """
    match = _ADDRESS.fullmatch(address)
    port = int(match["port"]) if match is not None and match["port"] else None
    if match is None or match["host"].startswith("-") or (port is not None and not 1 <= port <= _HIGHEST_PORT):
        raise TargetError(
            f"address: {address!r} is no SSH destination. Write [user@]host or [user@]host:port, with the host a name,"
            " an alias of the SSH configuration file, or an IPv6 address in brackets."
        )
    return SshSettings(host=match["host"].strip("[]"), port=port, user=match["user"])
