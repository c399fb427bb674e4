"""`airflow repx log`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab
from airflow_provider_repx.cli.parts import FoundUnit, find_unit, name_of
from airflow_provider_repx.cli.tables import print_json
from airflow_provider_repx.cli.there import Session, machine_of, told
from airflow_provider_repx.errors import CommandLineError, StoreError
from airflow_provider_repx.execution.store import JobStatus
from airflow_provider_repx.targets import Target

__all__ = ["last_lines", "log"]

_BLOCK = 65536
_POLL_SECONDS = 0.5
_REMOTE_POLL_SECONDS = 2.0
_TRANSFER_SECONDS = 600.0

_TAIL = '[ -e "$2" ] || exit 0; size=$(stat -L -c %s -- "$2") && echo "$size" && head -c "$size" -- "$2" | tail -n "$1"'
_REST = """[ -e "$2" ] || exit 0
size=$(stat -L -c %s -- "$2") && echo "$size" || exit 1
if [ "$size" -lt "$1" ]; then set -- 0 "$2"; fi
tail -c "+$(($1 + 1))" -- "$2" | head -c "$((size - $1))"
"""


@command
def log(arguments: argparse.Namespace) -> None:
    """Print the end of a log of a job or of a part of one, and what is added to it."""
    if arguments.stdout and arguments.stderr:
        raise CommandLineError("--stdout and --stderr: give one of them.")
    if arguments.follow and arguments.output == "json":
        raise CommandLineError("--follow prints lines as they come, so it goes with --output table only.")
    chosen = choose_lab(arguments)
    asked = find_unit(chosen.lab, arguments.job)
    paths = asked.paths(chosen.store)
    file = paths.stderr if arguments.stderr else paths.stdout
    if chosen.target.is_remote:
        with Session(chosen.target) as session:
            _show(arguments, chosen, asked, _RemoteLog(session, chosen.target, file))
    else:
        _show(arguments, chosen, asked, _LocalLog(file))


def _show(arguments: argparse.Namespace, chosen: ChosenLab, asked: FoundUnit, told_by: _LocalLog | _RemoteLog) -> None:
    content = told_by.end(arguments.lines)
    if arguments.output == "json":
        lines = content.decode("utf-8", "replace").removesuffix("\n").split("\n") if content else []
        about = {"job": asked.job_id, "part": asked.named or None, "file": str(told_by.file), "lines": lines}
        print_json(about)
        return
    _write(content)
    if arguments.follow:
        _follow(told_by, lambda: asked.status(chosen.store), what="part" if asked.named else "job")
    elif not content:
        other = "" if arguments.stderr else " Perhaps --stderr shows more."
        what = f"{name_of(asked.unit)}" if asked.named else "the job"
        print(f"{told_by.file}: nothing there; {what} is {asked.status(chosen.store)}.{other}", file=sys.stderr)


class _LocalLog:
    """A log file of this machine, and how far it was read."""

    pause = _POLL_SECONDS

    def __init__(self, file: Path) -> None:
        self.file = file
        self._position = 0

    def end(self, lines: int) -> bytes:
        """Its last lines."""
        content, self._position = last_lines(self.file, lines)
        return content

    def print_rest(self) -> None:
        """Print what is new."""
        try:
            with self.file.open("rb") as opened:
                # A log that has become shorter was begun anew.
                if opened.seek(0, os.SEEK_END) < self._position:
                    self._position = 0
                opened.seek(self._position)
                while block := opened.read(_BLOCK):
                    _write(block)
                    self._position += len(block)
        except FileNotFoundError:
            pass


class _RemoteLog:
    """A log file of a target's machine."""

    pause = _REMOTE_POLL_SECONDS

    def __init__(self, session: Session, target: Target, file: Path) -> None:
        self.file = file
        self._session = session
        self._where = machine_of(target)
        self._position = 0

    def end(self, lines: int) -> bytes:
        """Its last lines."""
        return self._ask(_TAIL, lines)

    def print_rest(self) -> None:
        """Print what is new."""
        if rest := self._ask(_REST, self._position):
            _write(rest)

    def _ask(self, script: str, number: int) -> bytes:
        """What a script prints behind the file's size, which is remembered."""
        command = ["bash", "-c", script, "log", str(number), str(self.file)]
        done = self._session.ask(command, timeout=_TRANSFER_SECONDS)
        if done.exit_code:
            raise StoreError(f"on {self._where}: {told(done)}")
        size, _, content = done.stdout.partition(b"\n")
        self._position = int(size) if size else 0
        return content


def last_lines(file: Path, lines: int) -> tuple[bytes, int]:
    """The last lines of a file, read from its end, and how many bytes it has; nothing where there is no file."""
    try:
        with file.open("rb") as opened:
            end = begin = opened.seek(0, os.SEEK_END)
            blocks: list[bytes] = []
            breaks = 0
            # One line break more than lines, since the last line has one as well.
            while begin and breaks <= lines:
                step = min(begin, _BLOCK)
                begin -= step
                opened.seek(begin)
                blocks.append(opened.read(step))
                breaks += blocks[-1].count(b"\n")
    except FileNotFoundError:
        return b"", 0
    content = b"".join(reversed(blocks))
    # Only line feeds end lines, as for `tail`: a progress bar returns its carriage many times in one.
    ended = content.endswith(b"\n")
    return b"\n".join(content.removesuffix(b"\n").split(b"\n")[-lines:]) + (b"\n" if ended else b""), end


def _follow(told_by: _LocalLog | _RemoteLog, status: Callable[[], JobStatus], *, what: str) -> None:
    """Print what is added to a log until its job or part has ended; wait for one that has not begun."""
    while True:
        # Asked before reading: what a job writes until its end is then read after its end.
        now = status()
        told_by.print_rest()
        if now in (JobStatus.SUCCEEDED, JobStatus.FAILED):
            print(f"The {what} has {now}.", file=sys.stderr)
            return
        time.sleep(told_by.pause)


def _write(content: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
