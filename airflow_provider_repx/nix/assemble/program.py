"""The entry point: Nix sets `task`, `blueprint` (a JSON file) and `out` in the environment."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from .failure import BlueprintError
from .lab import write_lab
from .scripts import write_scripts

__all__ = ["main"]

_TASKS = {"lab": write_lab, "scripts": write_scripts}


def main() -> None:
    """Do one task; a user's mistake ends it with exit code 1 and a message without traceback."""
    # Builders that share a home folder would break each other's later builds.
    os.environ["HOME"] = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - Nix always sets TMPDIR
    blueprint = json.loads(Path(os.environ["blueprint"]).read_text(encoding="utf-8"))  # noqa: SIM112 - Nix passes it so
    try:
        _TASKS[os.environ["task"]](blueprint, Path(os.environ["out"]))  # noqa: SIM112 - Nix passes it so
    except BlueprintError as error:
        sys.stderr.write(f"repx-lib: {error}\n")
        sys.exit(1)
