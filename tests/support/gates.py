"""A program on PATH that can be held before and after its work, so that whoever called it can be killed then."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from tools.airflow_local import wait_until

__all__ = ["Gate", "GatedProgram"]

Gate: TypeAlias = Literal["before", "after"]

_PROGRAM = """#!/bin/bash
folder={folder}
wait_at() {{
  while [[ -e $folder/$1 ]]; do
    : >"$folder/reached-$1"
    sleep 0.05
  done
}}
wait_at before
{program} "$@"
code=$?
wait_at after
exit "$code"
"""


@dataclass(frozen=True)
class GatedProgram:
    """Stands in for a program of this machine; put `search_path` where the caller looks for programs."""

    folder: Path
    name: str

    def write(self) -> None:
        """Put it there, with open gates."""
        program = shutil.which(self.name)
        assert program is not None, self.name
        file = self.folder / "bin" / self.name
        file.parent.mkdir(parents=True)
        file.write_text(_PROGRAM.format(folder=shlex.quote(str(self.folder)), program=shlex.quote(program)))
        file.chmod(0o755)

    @property
    def search_path(self) -> str:
        return f"{self.folder / 'bin'}:{os.environ['PATH']}"

    def close(self, gate: Gate) -> None:
        """From now on calls wait there."""
        (self.folder / f"reached-{gate}").unlink(missing_ok=True)
        (self.folder / gate).touch()

    def open(self) -> None:
        """Let all calls go on."""
        for gate in ("before", "after"):
            (self.folder / gate).unlink(missing_ok=True)

    def wait_until_reached(self, gate: Gate) -> None:
        wait_until((self.folder / f"reached-{gate}").exists, timeout=120, what=f"{self.name} at the gate `{gate}`")
