from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

SCRIPT = Path(__file__).parents[3] / "tools/install.sh"
INSTALLED_NIX = Path("/nix/var/nix/profiles/default/bin/nix")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with what the script itself needs, no Nix, and an apt-get that only writes down its arguments."""
    if INSTALLED_NIX.exists():
        pytest.skip(f"Nix is installed where it is found without PATH: {INSTALLED_NIX}")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "dirname", "git", "python3"):
        found = shutil.which(name)
        assert found is not None, f"this test needs {name}"
        (folder / name).symlink_to(found)
    (folder / "apt-get").write_text(f'#!/usr/bin/env -S bash\necho "$@" >> "{tmp_path}/apt-get-calls"\n')
    (folder / "apt-get").chmod(0o755)
    (tmp_path / "tools").mkdir()
    shutil.copy(SCRIPT, tmp_path / "tools")
    return folder


def install_system(programs: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(programs.parent / "tools/install.sh"), "system"],
        env={"PATH": str(programs), "HOME": str(programs.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may install packages")
def test_root_on_debian_gets_what_is_missing_and_is_told(programs: Path) -> None:
    done = install_system(programs)
    assert "Installing Debian packages:" in done.stderr
    assert "nix-bin" in done.stderr
    update, install = (programs.parent / "apt-get-calls").read_text().splitlines()
    assert update.startswith("update")
    assert install.startswith("install -y")
    assert "nix-bin" in install.split()
    assert "git" not in install.split()


def test_without_apt_or_root_nothing_is_installed_and_the_way_is_shown(programs: Path) -> None:
    (programs / "apt-get").unlink()
    done = install_system(programs)
    assert "apt-get install --no-install-recommends" in done.stderr
    assert "nix-bin" in done.stderr
    assert not (programs.parent / "apt-get-calls").exists()


def test_nothing_is_said_where_everything_is_there(programs: Path) -> None:
    (programs / "nix").write_text("#!/bin/sh\n")
    (programs / "nix").chmod(0o755)
    (programs.parent / ".venv/bin").mkdir(parents=True)
    (programs.parent / ".venv/bin/python").symlink_to(programs / "python3")
    done = install_system(programs)
    assert (done.stdout, done.stderr) == ("", "")
