"""One private Nix store for all tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nix import Nix, private_nix


@pytest.fixture(scope="session")
def nix() -> Iterator[Nix]:
    if shutil.which("nix") is None:
        pytest.skip("needs the nix command (Debian: apt-get install nix-bin)")
    with private_nix() as found:
        yield found


@pytest.fixture(scope="session")
def labs() -> Path:
    return Path(__file__).parent / "labs"
