"""Nix in a private store, without network, for tests that evaluate and build labs."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["LIBRARY", "Build", "Nix", "private_nix"]

LIBRARY = Path(__file__).parents[2] / "airflow_provider_repx/nix"

_SETTINGS = """experimental-features = nix-command flakes
substitute = false
substituters =
flake-registry =
use-registries = false
sandbox = false
max-jobs = 2
warn-dirty = false
build-users-group =
"""

_TIMEOUT = 120.0


@dataclass(frozen=True)
class Build:
    """A finished build: the store path, and the names of the derivations that were built for it."""

    path: Path
    built: tuple[str, ...]


@dataclass(frozen=True)
class Nix:
    """The nix command with a store below `home`."""

    home: Path

    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "NIX_CONFIG": _SETTINGS,
            "NIX_LOG_DIR": str(self.home / "log"),
            "NIX_STATE_DIR": str(self.home / "var"),
            "NIX_STORE_DIR": str(self.home / "store"),
            "PATH": os.environ["PATH"],
            "XDG_CACHE_HOME": str(self.home / "cache"),
        }

    def command(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run nix; a failure is for the caller to look at."""
        return subprocess.run(
            ["nix", *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
            cwd=cwd,
            env=self.environment(),
        )

    def eval(self, *arguments: str) -> Any:
        """A value as JSON data."""
        return json.loads(self.succeed("eval", "--json", *arguments).stdout)

    def succeed(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        finished = self.command(*arguments, cwd=cwd)
        assert finished.returncode == 0, finished.stderr
        return finished

    def build(self, *arguments: str, cwd: Path | None = None) -> Build:
        """Build one derivation."""
        finished = self.succeed("build", "--no-link", "--json", *arguments, cwd=cwd)
        [result] = json.loads(finished.stdout)
        names = re.findall(r"building '\S*/[a-z0-9]{32}-(\S+)\.drv'", finished.stderr)
        return Build(Path(result["outputs"]["out"]), tuple(names))

    def evaluation_error(self, expression: str) -> str:
        """The text of the error that evaluating an expression ends with."""
        finished = self.command("eval", "--impure", "--raw", "--expr", expression)
        assert finished.returncode == 1, f"evaluates to {finished.stdout}"
        return error_text(finished.stderr)

    def build_error(self, *arguments: str) -> str:
        """What nix says of a build that fails."""
        finished = self.command("build", "--no-link", *arguments)
        assert finished.returncode == 1, finished.stdout
        return finished.stderr


@contextmanager
def private_nix() -> Iterator[Nix]:
    """Nix with a store that is removed at the end."""
    # Not pytest's own folder: store paths end up in scripts, and long ones in shebang lines.
    home = Path(tempfile.mkdtemp(prefix="repx-nix-"))
    try:
        yield Nix(home)
    finally:
        for folder in [home, *(path for path in home.rglob("*") if path.is_dir() and not path.is_symlink())]:
            folder.chmod(stat.S_IRWXU)
        shutil.rmtree(home)


def error_text(stderr: str) -> str:
    """The message of an evaluation error, on one line and without nix's decoration."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stderr)
    message = plain.split("error:", 1)[1].split("(use '--show-trace'", 1)[0]
    return " ".join(message.split())
