"""What survives the real garbage collector, and links that are never missing."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.building import FlakeSource, Nix, keep, kept, release
from airflow_provider_repx.errors import NixBuildError, NixError

if TYPE_CHECKING:
    from tests.integration.building.conftest import FlakeFolder

pytestmark = pytest.mark.integration


def collect_garbage(nix: Nix) -> None:
    command = [str(nix.executable.with_name("nix-store")), "--gc"]
    subprocess.run(command, env=dict(nix.environment()), check=True, capture_output=True, timeout=60)


def write_lab(flake: FlakeFolder, word: str) -> str:
    return flake.write(default=f'shell "lab" "echo {word} > $out"')


def test_without_a_link_the_result_is_collected(nix: Nix, flake: FlakeFolder) -> None:
    path = nix.build(write_lab(flake, "one")).out_path
    collect_garbage(nix)
    assert not path.exists()


def test_a_linked_result_survives_until_the_link_is_removed(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    link = tmp_path / "new/folder/result"
    result = nix.build(write_lab(flake, "one"), out_link=link)
    assert result.out_link == link
    collect_garbage(nix)
    assert link.readlink() == result.out_path
    assert link.read_text() == "one\n"
    link.unlink()
    collect_garbage(nix)
    assert not result.out_path.exists()


def test_a_relative_link_keeps_its_target_too(
    nix: Nix, flake: FlakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nix.build(write_lab(flake, "one"), out_link=Path("result"))
    monkeypatch.chdir("/")
    collect_garbage(nix)
    assert (tmp_path / "result").read_text() == "one\n"


def test_a_swap_keeps_the_new_result_and_lets_the_old_one_go(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    link = tmp_path / "result"
    old = nix.build(write_lab(flake, "one"), out_link=link).out_path
    new = nix.build(write_lab(flake, "two"), out_link=link).out_path
    collect_garbage(nix)
    assert link.read_text() == "two\n"
    assert new.exists()
    assert not old.exists()


def test_a_kept_version_survives_the_swap_until_it_is_released(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    link, versions = tmp_path / "result", tmp_path / "versions"
    old = nix.build(write_lab(flake, "one"), out_link=link).out_path
    assert keep(nix, old, versions, "run-1").read_text() == "one\n"
    new = nix.build(write_lab(flake, "two"), out_link=link).out_path
    collect_garbage(nix)
    assert [(root.name, root.store_path) for root in kept(versions)] == [("run-1", old)]
    assert old.read_text() == "one\n"
    release(versions, "run-1")
    collect_garbage(nix)
    assert kept(versions) == ()
    assert not old.exists()
    assert new.exists()


def test_a_name_moves_to_another_version(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    first, second = (nix.build(write_lab(flake, word)).out_path for word in ("one", "two"))
    keep(nix, first, tmp_path, "current")
    keep(nix, second, tmp_path, "current")
    collect_garbage(nix)
    assert [root.store_path for root in kept(tmp_path)] == [second]
    assert second.exists()
    assert not first.exists()


def test_only_paths_in_the_store_can_be_kept(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    path = nix.build(write_lab(flake, "one")).out_path
    collect_garbage(nix)
    with pytest.raises(NixError):
        keep(nix, path, tmp_path / "versions", "gone")
    assert kept(tmp_path / "versions") == ()


def test_a_failed_build_leaves_the_link_as_it_was(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    link = tmp_path / "result"
    good = nix.build(write_lab(flake, "one"), out_link=link).out_path
    with pytest.raises(NixBuildError):
        nix.build(flake.write(default='shell "lab" "exit 1"'), out_link=link)
    collect_garbage(nix)
    assert link.readlink() == good
    assert link.read_text() == "one\n"


def test_a_reader_never_finds_the_link_missing_or_broken(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    link = tmp_path / "result"
    directory = flake.write(one='shell "lab" "echo one > $out"', two='shell "lab" "echo two > $out"')
    nix.build(FlakeSource(directory, "two"), out_link=link)
    stop = threading.Event()
    seen: list[str] = []

    def read_once() -> str:
        try:
            return link.read_text().strip()
        except OSError as error:
            return repr(error)

    def read() -> None:
        while not stop.wait(0.0002):
            seen.append(read_once())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for attribute in ["one", "two"] * 10:
            nix.build(FlakeSource(directory, attribute), out_link=link)
    finally:
        stop.set()
        reader.join()
    assert set(seen) == {"one", "two"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("result")] == ["result"]
