"""One private Nix store for all tests of this folder."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nix import Nix


@pytest.fixture(scope="session")
def nix() -> Iterator[Nix]:
    if shutil.which("nix") is None:
        pytest.skip("needs the nix command (Debian: apt-get install nix-bin)")
    # Not pytest's own folder: store paths end up in scripts, and long ones in shebang lines.
    home = Path(tempfile.mkdtemp(prefix="repx-nix-"))
    try:
        yield Nix(home)
    finally:
        for folder in [home, *(path for path in home.rglob("*") if path.is_dir() and not path.is_symlink())]:
            folder.chmod(stat.S_IRWXU)
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def labs() -> Path:
    return Path(__file__).parent / "labs"
