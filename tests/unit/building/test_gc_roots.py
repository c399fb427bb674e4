from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_repx.building import KeptPath, Nix, keep, kept, release
from airflow_provider_repx.errors import NixError

pytestmark = pytest.mark.unit


def test_what_a_folder_keeps(tmp_path: Path) -> None:
    (tmp_path / "b").symlink_to("/nix/store/b")
    (tmp_path / "a").symlink_to("/nix/store/a")
    (tmp_path / "c.tmp-4711-1804289383").symlink_to("/nix/store/unfinished")
    (tmp_path / "notes").write_text("no root")
    assert kept(tmp_path) == (KeptPath("a", Path("/nix/store/a")), KeptPath("b", Path("/nix/store/b")))
    release(tmp_path, "a")
    release(tmp_path, "never-kept")
    assert [root.name for root in kept(tmp_path)] == ["b"]


def test_a_folder_that_does_not_exist_keeps_nothing(tmp_path: Path) -> None:
    assert kept(tmp_path / "none") == ()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "-x", "x.tmp-1-2", "a\n", "\x00"])
def test_names_that_are_no_plain_file_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(NixError, match="cannot be the name of a root"):
        keep(Nix(Path("/bin/false")), Path("/nix/store/x"), tmp_path, name)
    with pytest.raises(NixError, match="cannot be the name of a root"):
        release(tmp_path, name)
