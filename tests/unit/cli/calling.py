"""Calling commands of `airflow repx` in this process, and comparing what they print with golden files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser

__all__ = ["Call", "Repx", "check_golden"]

# In a process of its own a command sends what Airflow logs to stderr; in this one it is not to be meddled with.
_LOGGED = re.compile(r"^\d{4}-\d\d-\d\dT\S+ \[(?:info|warning) .*\n", re.MULTILINE)
_GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Call:
    """What a command has said."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that tells what is wrong."""
        (line,) = (line for line in self.err.splitlines() if line.startswith("[ERROR] "))
        return line.removeprefix("[ERROR] ")


@dataclass(frozen=True)
class Repx:
    """Calls commands as the `airflow` command does."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Call:
        self.capture.readouterr()
        code = 0
        try:
            parsed = get_parser().parse_args(["repx", *arguments])
            parsed.func(parsed)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        said = self.capture.readouterr()
        return Call(code, _LOGGED.sub("", said.out), said.err)


def check_golden(text: str, name: str, folder: Path) -> None:
    """Compare a text with `golden/<name>.txt`; `folder` is called ``/f`` and today's moments are left out.

    With REPX_UPDATE_GOLDEN=1 in the environment, write that file.
    """
    told = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*", "MOMENT", text.replace(str(folder), "/f"))
    file = _GOLDEN / f"{name}.txt"
    if os.environ.get("REPX_UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(told, encoding="utf-8")
    assert told == file.read_text(encoding="utf-8")
