"""Where a job's script is run by hand: on this machine, or on the machine of a target."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from airflow_provider_repx.cli.debug_files import SETUP
from airflow_provider_repx.cli.there import Session, told
from airflow_provider_repx.errors import CommandLineError, StoreError
from airflow_provider_repx.execution.jobs.environment import host_tools, job_environment
from airflow_provider_repx.execution.transport import ship_lab

if TYPE_CHECKING:
    from airflow_provider_repx.execution.transport import SshTransport
    from airflow_provider_repx.lab import Lab
    from airflow_provider_repx.targets import Target

__all__ = ["Here", "Place", "There", "place_of"]

_IN_USE = 3

_MAKE_FOLDER = """
if [ -z "$1" ]; then exec mktemp -d "${TMPDIR:-/tmp}/repx-debug-XXXXXXXX"; fi
case $1 in /*) folder=$1 ;; *) folder=$HOME/$1 ;; esac
if [ -e "$folder" ] && { [ ! -d "$folder" ] || [ -n "$(ls -A -- "$folder")" ]; }; then exit 3; fi
mkdir -p -- "$folder" && printf '%s\\n' "$folder"
"""


class Place(Protocol):
    """A machine where scripts of a lab can be run."""

    lab_root: Path | None
    """Where that machine has the lab; `None` where it is this machine."""

    path: str
    """What a job's ``PATH`` is there, as the right side of an assignment in bash; empty: as it is."""

    def scratch(self, directory: str | None) -> AbstractContextManager[Path]:
        """Make a new folder that is removed at the end, or `directory`, which is kept and has to be new or empty."""
        ...

    def write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        """Write files into a scratch folder; raises `StoreError`."""
        ...

    def shell(self, folder: Path, command: str | None) -> int:
        """A shell with the settings of a scratch folder, or one line of bash; its exit code."""
        ...


def _words(folder: Path, command: str | None) -> list[str]:
    if command is None:
        return ["bash", "--rcfile", str(folder / SETUP), "-i"]
    # The line is the user's own, for the user's own shell.
    return ["bash", "-c", f". {shlex.quote(str(folder / SETUP))}\n{command}"]


class Here:
    """This machine."""

    lab_root: Path | None = None

    def __init__(self, lab: Lab) -> None:
        self._environment = job_environment(os.environ, lab=lab.path, token="debug-run")  # noqa: S106 - marks processes
        self.path = shlex.quote(self._environment.get("PATH", ""))

    @contextmanager
    def scratch(self, directory: str | None) -> Iterator[Path]:
        """See `Place`."""
        if directory is None:
            with tempfile.TemporaryDirectory(prefix="repx-debug-", ignore_cleanup_errors=True) as temporary:
                yield Path(temporary)
            return
        folder = Path(directory).expanduser().absolute()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise _not_empty(directory)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder

    def write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        """See `Place`."""
        try:
            for name, content in files.items():
                (folder / name).write_bytes(content)
        except OSError as error:
            raise StoreError(f"{folder}: the scratch folder cannot be written: {error}") from error

    def shell(self, folder: Path, command: str | None) -> int:
        """See `Place`."""
        # Nobody knows how long a person stays in a shell, so there is no timeout.
        return subprocess.run(_words(folder, command), env=self._environment, cwd=folder, check=False).returncode


class There:
    """The machine of a target, with the lab that was shipped there."""

    def __init__(self, session: Session, target: Target, lab: Lab) -> None:
        self._session = session
        shipped = session.wait(ship_lab(lab, target.base_path, session.transport, umask=target.slurm.umask))
        self.lab_root: Path | None = shipped.path
        tools = host_tools(lab.path)
        self.path = "" if tools is None else f'{shlex.quote(str(shipped.path / tools.relative_to(lab.path)))}:"$PATH"'

    @contextmanager
    def scratch(self, directory: str | None) -> Iterator[Path]:
        """See `Place`; a relative `directory` is one in the home folder there."""
        made = self._session.ask(["sh", "-c", _MAKE_FOLDER, "scratch", (directory or "").removeprefix("~/")])
        if made.exit_code == _IN_USE:
            raise _not_empty(directory or "")
        if made.exit_code:
            raise StoreError(f"no scratch folder can be made on {self._where}: {told(made)}")
        folder = Path(made.stdout.decode("utf-8", "surrogateescape").removesuffix("\n"))
        try:
            yield folder
        finally:
            if directory is None:
                removed = self._session.ask(["rm", "-rf", "--", str(folder)])
                if removed.exit_code:
                    print(f"[WARNING] {folder} on {self._where} was not removed: {told(removed)}", file=sys.stderr)

    def write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        """See `Place`."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o600
                archive.addfile(member, io.BytesIO(content))
        done = self._session.ask(["tar", "-x", "-f", "-", "-C", str(folder)], stdin=packed.getvalue())
        if done.exit_code:
            raise StoreError(f"{folder} on {self._where}: the scratch folder cannot be written: {told(done)}")

    def shell(self, folder: Path, command: str | None) -> int:
        """See `Place`."""
        from airflow_provider_repx.execution.transport.ssh_shell import run_shell  # noqa: PLC0415 - loads the SSH library

        # The only way to another machine.
        transport = cast("SshTransport", self._session.transport)
        return self._session.wait(run_shell(transport.settings, _words(folder, command)))

    @property
    def _where(self) -> str:
        return self._session.transport.description


def _not_empty(directory: str) -> CommandLineError:
    return CommandLineError(f"--directory {directory}: is there already and not empty. Choose another one.")


@contextmanager
def place_of(target: Target, lab: Lab) -> Iterator[Place]:
    """Where a target's jobs run; raises `TargetError`, `TransportError`, or as `ship_lab` does."""
    if not target.is_remote:
        yield Here(lab)
        return
    with Session(target) as session:
        yield There(session, target, lab)
