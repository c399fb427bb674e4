"""A private Nix store and a flake of raw derivations, which need nothing but a shell."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest

from airflow_provider_repx.building import Nix, find_nix
from airflow_provider_repx.errors import NixNotFoundError

_FLAKE = Template(
    """
{
  outputs = { self }: let
    shell = name: script: builtins.derivation {
      inherit name;
      system = "$system";
      builder = "/bin/sh";
      args = [ "-c" script ];
      PATH = "/bin:/usr/bin";
    };
  in {
    packages.$system = {
$attributes
    };
  };
}
"""
)


class FlakeFolder:
    """A directory with a flake whose packages are given as Nix text; `shell name script` makes a derivation."""

    def __init__(self, directory: Path, system: str) -> None:
        self.directory = directory
        self._system = system

    def write(self, **attributes: str) -> str:
        """Write the flake and return its directory."""
        lines = "\n".join(f"      {name} = {value};" for name, value in attributes.items())
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "flake.nix").write_text(_FLAKE.substitute(system=self._system, attributes=lines))
        return str(self.directory)


@pytest.fixture(scope="session")
def nix_executable() -> Path:
    try:
        return find_nix()
    except NixNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short path, which can be removed although Nix takes the write permission away in it."""
    folder = Path(tempfile.mkdtemp(prefix="nix-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def nix(nix_executable: Path, short_folder: Path) -> Nix:
    return Nix(nix_executable, private_store=short_folder / "store", timeout=60.0)


@pytest.fixture(scope="session")
def nix_system(nix_executable: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What Nix calls this machine, such as ``x86_64-linux``."""
    from airflow_provider_repx.building import ExpressionSource  # noqa: PLC0415

    nix = Nix(nix_executable, private_store=tmp_path_factory.mktemp("system"))
    return str(nix.eval(ExpressionSource("builtins.currentSystem")))


@pytest.fixture
def flake(tmp_path: Path, nix_system: str) -> FlakeFolder:
    return FlakeFolder(tmp_path / "flake", nix_system)
