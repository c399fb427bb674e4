from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from airflow_provider_repx.building import kept
from airflow_provider_repx.bundles.roots import release_labs

pytestmark = pytest.mark.unit

HOUR = 3600.0


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """Roots of three versions, made an hour ago."""
    folder = tmp_path / "roots"
    folder.mkdir()
    for name in ("a-lab", "b-lab", "c-lab"):
        (folder / name).symlink_to(tmp_path / name)
        age(folder / name, HOUR)
    return folder


def age(link: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(link, (then, then), follow_symlinks=False)


def names(folder: Path) -> list[str]:
    return [root.name for root in kept(folder)]


def test_what_is_not_in_use_is_let_go(roots: Path) -> None:
    assert release_labs(roots, {"b-lab", "not-here"}, 600) == ["a-lab", "c-lab"]
    assert names(roots) == ["b-lab"]
    assert release_labs(roots, {"b-lab"}, 600) == []


def test_nothing_is_let_go_soon_after_a_version_has_appeared(roots: Path) -> None:
    age(roots / "c-lab", 60)
    assert release_labs(roots, {"c-lab"}, 600) == []
    assert release_labs(roots, {"c-lab"}, 30) == ["a-lab", "b-lab"]


def test_nothing_is_let_go_while_nothing_is_known(roots: Path) -> None:
    assert release_labs(roots, (), 0) == []
    assert len(names(roots)) == 3


def test_no_roots_are_no_error(tmp_path: Path) -> None:
    assert release_labs(tmp_path / "none", {"a"}, 0) == []
