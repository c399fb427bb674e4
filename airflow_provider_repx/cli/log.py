"""`airflow repx log`."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.find import find_job
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab
from airflow_provider_repx.cli.tables import print_json
from airflow_provider_repx.cli.there import read
from airflow_provider_repx.errors import CommandLineError
from airflow_provider_repx.execution.store import JobStatus

__all__ = ["last_lines", "log"]

_UNIT = re.compile(r"scatter|branch-[0-9]+/step-[^/\x00]+")
_BLOCK = 65536
_POLL_SECONDS = 0.5


@command
def log(arguments: argparse.Namespace) -> None:
    """Print the end of a job's log, and what is added to it."""
    if arguments.stdout and arguments.stderr:
        raise CommandLineError("--stdout and --stderr: give one of them.")
    if arguments.follow and arguments.output == "json":
        raise CommandLineError("--follow prints lines as they come, so it goes with --output table only.")
    chosen = choose_lab(arguments)
    found = find_job(chosen.lab, arguments.job)
    # A log on another machine is read by one command there, which cannot follow it.
    paths = (chosen.visible_store if arguments.follow else chosen.store).job(found.job_id)
    folder = paths.repx if arguments.unit is None else paths.root / _unit(arguments.unit) / "repx"
    file = folder / ("stderr.log" if arguments.stderr else "stdout.log")
    content, end = _end_of(chosen, file, arguments.lines)
    if arguments.output == "json":
        lines = content.decode("utf-8", "replace").splitlines()
        print_json({"job": found.job_id, "file": str(file), "lines": lines})
        return
    _write(content)
    if arguments.follow:
        _follow(file, end, lambda: chosen.store.status(found.job_id))
    elif not content:
        other = "" if arguments.stderr else " Perhaps --stderr shows more."
        print(f"{file}: nothing there; the job is {chosen.store.status(found.job_id)}.{other}", file=sys.stderr)


def _end_of(chosen: ChosenLab, file: Path, lines: int) -> tuple[bytes, int]:
    if chosen.sees_files:
        return last_lines(file, lines)
    script = '[ ! -e "$2" ] || tail -n "$1" -- "$2"'
    return read(chosen.target, ["bash", "-c", script, "log", str(lines), str(file)]), 0


def last_lines(file: Path, lines: int) -> tuple[bytes, int]:
    """The last lines of a file, read from its end, and how many bytes it has; nothing where there is no file."""
    try:
        with file.open("rb") as opened:
            end = begin = opened.seek(0, os.SEEK_END)
            content = b""
            # One line break more than lines, since the last line has one as well.
            while begin and content.count(b"\n") <= lines:
                step = min(begin, _BLOCK)
                begin -= step
                opened.seek(begin)
                content = opened.read(step) + content
    except FileNotFoundError:
        return b"", 0
    return b"".join(content.splitlines(keepends=True)[-lines:]), end


def _unit(written: str) -> str:
    if not _UNIT.fullmatch(written):
        raise CommandLineError(
            f"--unit {written!r}: give scatter, or a step of a branch such as branch-3/step-fit. Without --unit it is"
            " the log of gather."
        )
    return written


def _follow(file: Path, position: int, status: Callable[[], JobStatus]) -> None:
    """Print what is added to a log until its job has ended; wait for a job that has not begun."""
    while True:
        # Asked before reading: what a job writes until its end is then read after its end.
        now = status()
        position = _print_from(file, position)
        if now in (JobStatus.SUCCEEDED, JobStatus.FAILED):
            print(f"The job has {now}.", file=sys.stderr)
            return
        time.sleep(_POLL_SECONDS)


def _print_from(file: Path, position: int) -> int:
    try:
        with file.open("rb") as opened:
            # A log that has become shorter was begun anew.
            if opened.seek(0, os.SEEK_END) < position:
                position = 0
            opened.seek(position)
            while block := opened.read(_BLOCK):
                _write(block)
                position += len(block)
    except FileNotFoundError:
        pass
    return position


def _write(content: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
