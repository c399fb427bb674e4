"""`airflow repx show output`."""

from __future__ import annotations

import argparse
import base64
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.labs import choose_lab
from airflow_provider_repx.cli.parts import find_unit
from airflow_provider_repx.cli.tables import print_json, print_table
from airflow_provider_repx.cli.there import read
from airflow_provider_repx.errors import CommandLineError, StoreError
from airflow_provider_repx.targets import Target

__all__ = ["show_output"]


@dataclass(frozen=True)
class _File:
    path: str
    size: int


@command
def show_output(arguments: argparse.Namespace) -> None:
    """List the files of a job's results, or print one of them."""
    chosen = choose_lab(arguments)
    asked = find_unit(chosen.lab, arguments.job)
    relative = _confined(arguments.path)
    out = asked.paths(chosen.store).out
    look = partial(_there, chosen.target) if chosen.target.is_remote else _here
    shown = look(out, relative)
    if shown is None:
        files = look(out, Path())
        if not isinstance(files, list):
            what = "part" if asked.named else "job"
            raise StoreError(f"{out}: there are no results of this {what} yet; it is {asked.status(chosen.store)}.")
        names = ", ".join(file.path for file in files) or "none"
        raise CommandLineError(f"{out / relative}: there is no such file. The job's files: {names}.")
    if isinstance(shown, list):
        _print_listing(shown, as_json=arguments.output == "json")
    elif arguments.output == "json":
        print_json({"path": str(relative), **_content(shown)})
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(shown)


def _here(out: Path, relative: Path) -> list[_File] | bytes | None:
    """The files of a folder, or the content of a file; `None` where there is neither."""
    wanted = out / relative
    if wanted.is_dir():
        return list(_files(out, wanted))
    return wanted.read_bytes() if wanted.exists() else None


def _there(target: Target, out: Path, relative: Path) -> list[_File] | bytes | None:
    """The same on the machine of a target."""
    script = (
        'cd -- "$1" 2>/dev/null || exit 0; if [ -d "$2" ]; then printf d; find "$2" ! -type d -printf "%P\\0%s\\0";'
        ' elif [ -e "$2" ]; then printf f; cat -- "$2"; fi'
    )
    answer = read(target, ["bash", "-c", script, "show", str(out), f"./{relative}"])
    if not answer:
        return None
    if answer[:1] == b"f":
        return answer[1:]
    fields = answer[1:].decode("utf-8", "surrogateescape").split("\0")[:-1]
    names = (str(relative / name) for name in fields[::2])
    return sorted((_File(name, int(size)) for name, size in zip(names, fields[1::2], strict=True)), key=_by_path)


def _by_path(file: _File) -> str:
    return file.path


def _confined(written: str | None) -> Path:
    relative = Path(os.path.normpath(written or "."))
    if relative.is_absolute() or ".." in relative.parts or "\0" in str(relative):
        raise CommandLineError(f"PATH {written!r} leaves the job's folder of results; give a path within it.")
    return relative


def _files(out: Path, folder: Path) -> Iterator[_File]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            yield _File(str(path.relative_to(out)), path.lstat().st_size)


def _print_listing(files: list[_File], *, as_json: bool) -> None:
    if as_json:
        print_json([{"path": file.path, "size": file.size} for file in files])
    else:
        print_table([["path", "bytes"], *([file.path, str(file.size)] for file in files)])


def _content(content: bytes) -> dict[str, Any]:
    try:
        return {"size": len(content), "text": content.decode()}
    except UnicodeDecodeError:
        return {"size": len(content), "base64": base64.b64encode(content).decode()}
