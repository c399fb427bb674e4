"""A user's own command as something that a cluster can run: a folder of its own, and files that hold the command.

Nothing of the command is ever part of a shell line: the script that starts it reads the arguments from a file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.execution.store.claimant import Claimant
from airflow_provider_repx.execution.store.job_paths import JobPaths

__all__ = ["PreparedCommand", "command_runner", "command_runner_path", "prepare_command", "prepare_script"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_NAME = 200
"""Characters of a folder's name; file systems allow 255 bytes."""


@dataclass(frozen=True)
class PreparedCommand:
    """A command whose files are known; nothing is written yet, and every path is one of the target's.

    Attributes:
        paths: Its folder.
        executable: The script that starts it.
        inputs: The file with the command and its arguments.
        parameters: The file with its variables.
        files: What has to be written before it starts, content by path.

    """

    paths: JobPaths
    executable: Path
    inputs: Path
    parameters: Path
    files: Mapping[Path, bytes]


@cache
def command_runner() -> bytes:
    """The script that starts a command."""
    return (files("airflow_provider_repx.execution.jobs") / "command.sh").read_bytes()


def command_runner_path(base_path: Path) -> Path:
    """Where a target keeps that script; the folder is named after its SHA-256."""
    return base_path / "repx" / "runner" / hashlib.sha256(command_runner()).hexdigest() / "command-runner"


def prepare_command(
    command: Sequence[str], environment: Mapping[str, str], base_path: Path, claimant: Claimant
) -> PreparedCommand:
    """A command given as an argument list; raises `TargetError` for what no process can be given."""
    paths = _folder(base_path, claimant)
    return _prepared(list(command), environment, base_path, paths, {})


def prepare_script(script: str, environment: Mapping[str, str], base_path: Path, claimant: Claimant) -> PreparedCommand:
    """A script given as text; its first line names the interpreter as usual, otherwise it is bash."""
    paths = _folder(base_path, claimant)
    file = paths.repx / "script"
    return _prepared([*_interpreter(script), str(file)], environment, base_path, paths, {file: script.encode()})


def _prepared(
    arguments: list[str],
    environment: Mapping[str, str],
    base_path: Path,
    paths: JobPaths,
    more: Mapping[Path, bytes],
) -> PreparedCommand:
    if not arguments or not arguments[0]:
        raise TargetError("command: is empty. Give the program and its arguments as a list.")
    for name in environment:
        if not _VARIABLE.fullmatch(name):
            raise TargetError(f"environment: {name!r} is not the name of a variable.")
    settings = [f"{name}={value}" for name, value in sorted(environment.items())]
    if any("\0" in text for text in (*arguments, *settings)):
        raise TargetError("command and environment: no argument or variable can hold a NUL character.")
    inputs, parameters = paths.repx / "arguments", paths.repx / "environment"
    return PreparedCommand(
        paths=paths,
        executable=command_runner_path(base_path),
        inputs=inputs,
        parameters=parameters,
        files={**more, inputs: _joined(arguments), parameters: _joined(settings)},
    )


def _joined(texts: Sequence[str]) -> bytes:
    return "".join(f"{text}\0" for text in texts).encode()


def _interpreter(script: str) -> list[str]:
    """As the kernel reads the first line: the interpreter, and the rest of the line as a single argument."""
    first, _, _ = script.partition("\n")
    if not first.startswith("#!") or not first[2:].strip():
        return ["bash"]
    return first[2:].strip().split(maxsplit=1)


def _folder(base_path: Path, claimant: Claimant) -> JobPaths:
    """A folder of this very try, so that nothing of an earlier one is taken for its own."""
    index = "" if claimant.map_index < 0 else f"[{claimant.map_index}]"
    names = (claimant.dag_id, claimant.run_id, f"{claimant.task_id}{index}", f"try-{claimant.try_number}")
    return JobPaths(base_path.joinpath("commands", *map(_name, names)))


def _name(text: str) -> str:
    name = quote(text, safe="+:[]")
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 17]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return name if name not in (".", "..", "") else f"%{name}"
