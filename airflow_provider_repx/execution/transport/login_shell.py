"""One line of text that every login shell understands, for a command with any arguments.

An SSH server hands a command as one text to the user's login shell, which may be bash, dash, zsh, csh, tcsh or fish;
their quoting differs. So the command, quoted for a POSIX shell, travels in base64, whose letters mean nothing to any of
them, and the login shell only replaces itself by ``/bin/sh``. What the login's start-up files print comes before a
marker that is different each time, and is cut off.

The command runs under coreutils' ``timeout``, so that it ends also when nobody is connected any more to end it.
"""

from __future__ import annotations

import base64
import math
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_repx.errors import TransportError

__all__ = ["RemoteCommand", "kill_line", "remote_command", "shell_line"]

_LONGEST = 120_000
"""Bytes; Linux takes no single argument above 128 KiB."""

_LAST_SECONDS = 10
"""How long after its time, and after TERM, the target itself ends a command."""


@dataclass(frozen=True)
class RemoteCommand:
    """A command for a login shell, and the line that its output begins with: the marker and the process's number."""

    line: str
    marker: bytes

    def strip(self, output: bytes) -> bytes | None:
        """Cut off what the login printed before the command; `None` if the command was never started."""
        _, found, rest = output.partition(self.marker)
        return rest.partition(b"\n")[2] if found else None

    def process_id(self, output: bytes) -> int | None:
        """The number of the command's process, which leads a group of its own; `None` if it was not told yet."""
        match = re.search(re.escape(self.marker) + rb" (\d+)\n", output)
        return int(match[1]) if match is not None else None


def remote_command(
    command: Sequence[str],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    search_path: Sequence[Path] = (),
) -> RemoteCommand:
    """Make the text for a login shell; raises `TransportError` for a command that cannot be passed on."""
    if not command or any("\0" in argument for argument in command):
        raise TransportError(f"{list(command)!r} is no command: it is empty or holds a NUL character")
    limited = ["timeout", "-k", str(_LAST_SECONDS), str(math.ceil(timeout) + _LAST_SECONDS), *command]
    script = "; ".join([*_settings(environment or {}, search_path), f"exec {shlex.join(limited)}"])
    encoded = base64.b64encode(script.encode(errors="surrogateescape")).decode()
    marker = f"repx-{secrets.token_hex(8)}"
    line = f"exec /bin/sh -c 'echo {marker} $$; echo {marker} >&2; eval \"$(echo {encoded} | base64 -d)\"'"
    if len(line) > _LONGEST:
        raise TransportError(
            f"the command {command[0]!r} has {len(script)} bytes, too many for one line; send its data on stdin"
        )
    return RemoteCommand(line, marker.encode())


def shell_line(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, search_path: Sequence[Path] = ()
) -> str:
    """The text for a login shell that becomes a command for a person: without a marker, a time limit or a new group.

    Those would part it from the person's terminal. Raises `TransportError` for a command that cannot be passed on.
    """
    if not command or any("\0" in argument for argument in command):
        raise TransportError(f"{list(command)!r} is no command: it is empty or holds a NUL character")
    script = "; ".join([*_settings(environment or {}, search_path), f"exec {shlex.join(command)}"])
    encoded = base64.b64encode(script.encode(errors="surrogateescape")).decode()
    line = f"exec /bin/sh -c 'eval \"$(echo {encoded} | base64 -d)\"'"
    if len(line) > _LONGEST:
        raise TransportError(f"the command {command[0]!r} has {len(script)} bytes, too many for one line")
    return line


def kill_line(process_id: int, signal_name: str) -> str:
    """The text for a login shell that sends a signal to a command and all of its group."""
    return f"exec /bin/sh -c 'kill -{signal_name} -{process_id}'"


def _settings(environment: Mapping[str, str], search_path: Sequence[Path]) -> list[str]:
    # The C locale, so that messages can be recognized. Below level 2, a bash that finds itself called over SSH reads
    # the login's start-up files, and prints what they print, once more.
    variables = {"LC_ALL": "C", "SHLVL": "2", **environment}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    if search_path:
        folders = ":".join(str(folder) for folder in search_path)
        lines.append(f'PATH={shlex.quote(folders)}:"$PATH"; export PATH')
    return lines
