"""Builds and evaluations with the real nix command."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.building import (
    BuildProgress,
    ExpressionSource,
    FileSource,
    FlakeSource,
    Nix,
    StorePathSource,
    run_slice,
)
from airflow_provider_repx.building.structured_log import BuildFinished, BuildLogLine, BuildStarted, NixEvent, Progress
from airflow_provider_repx.errors import NixError

if TYPE_CHECKING:
    from tests.integration.building.conftest import FlakeFolder

pytestmark = pytest.mark.integration


def test_build_of_a_flake(nix: Nix, flake: FlakeFolder) -> None:
    directory = flake.write(default='shell "lab" "echo working; echo content > $out"')
    events: list[NixEvent] = []
    result = nix.build(directory, on_event=events.append)
    assert result.out_path.read_text() == "content\n"
    assert result.drv_path is not None
    assert result.drv_path.name.endswith("-lab.drv")
    assert result.out_link is None
    derivation = str(result.drv_path)
    wanted = [event for event in events if isinstance(event, BuildStarted | BuildLogLine | BuildFinished)]
    assert wanted == [BuildStarted(derivation), BuildLogLine(derivation, "working"), BuildFinished(derivation)]
    assert [event for event in events if isinstance(event, Progress)][-1].done == 1


def test_attributes_and_slices(nix: Nix, flake: FlakeFolder) -> None:
    runs = '{ simulation = shell "simulation" "echo simulation > $out"; "with.dot" = shell "dot" "echo dot > $out"; }'
    directory = flake.write(lab=f'shell "lab" "echo lab > $out" // {{ runs = {runs}; }}', default='shell "x" "exit 1"')
    lab = FlakeSource(directory, "lab")
    assert nix.build(lab).out_path.read_text() == "lab\n"
    assert nix.build(f"{directory}#lab").out_path.read_text() == "lab\n"
    assert nix.build(run_slice(lab, "simulation")).out_path.read_text() == "simulation\n"
    assert nix.build(run_slice(lab, "with.dot")).out_path.read_text() == "dot\n"


def test_files_and_expressions(nix: Nix, nix_system: str, tmp_path: Path) -> None:
    arguments = '[ "-c" "echo content > $out" ]'
    derivation = f'derivation {{ name = "lab"; system = "{nix_system}"; builder = "/bin/sh"; args = {arguments}; }}'
    file = tmp_path / "lab.nix"
    file.write_text("{ unused ? 1 }: { lab = " + derivation + "; }")
    bare = tmp_path / "bare.nix"
    bare.write_text(derivation)
    for source in (
        FileSource(file, "lab"),
        FileSource(bare),
        ExpressionSource(derivation),
        ExpressionSource(f"import {file} {{ }}", "lab"),
    ):
        assert nix.build(source).out_path.read_text() == "content\n"


def test_eval(nix: Nix, flake: FlakeFolder) -> None:
    directory = flake.write(value='{ list = [ 1 2.5 "three" null true ]; }')
    assert nix.eval(FlakeSource(directory, "value")) == {"list": [1, 2.5, "three", None, True]}
    assert nix.eval(FlakeSource(directory, "value.list"), apply="builtins.length") == 5
    assert nix.eval(ExpressionSource("1 + 1")) == 2


def test_path_info(nix: Nix, flake: FlakeFolder) -> None:
    directory = flake.write(
        default='shell "lab" "echo ${shell "part" "echo part > $out"} > $out"',
    )
    result = nix.build(directory)
    info = nix.path_info(result.out_path)
    assert info.path == result.out_path
    assert [path.name.split("-", 1)[1] for path in info.references] == ["part"]
    assert info.nar_size > 0
    assert info.deriver == result.drv_path
    with pytest.raises(NixError, match="is not in the Nix store"):
        nix.path_info(result.out_path.with_name("0" * 32 + "-nothing"))


def test_store_paths_that_are_not_there_cannot_be_built(nix: Nix, flake: FlakeFolder) -> None:
    there = nix.build(flake.write(default='shell "lab" "echo 1 > $out"')).out_path
    assert nix.build(StorePathSource(there)).out_path == there
    with pytest.raises(NixError):
        nix.build(StorePathSource(there.with_name("0" * 32 + "-nothing")))


def test_version(nix: Nix) -> None:
    assert nix.version[0].isdigit()


def test_only_what_changed_is_built_again(nix: Nix, flake: FlakeFolder) -> None:
    def lines_of_build() -> list[str]:
        lines: list[str] = []
        progress = BuildProgress(lines.append, interval=0.0)
        nix.build(str(flake.directory), on_event=progress)
        progress.finish()
        return lines

    def write(word: str) -> None:
        part = '${shell "part" "echo part > $out"}'
        flake.write(default=f'shell "lab" "cat {part} > $out; echo {word}"')

    write("first")
    assert lines_of_build() == ["building 1/2 part", "building 2/2 lab", "lab> first", "built 2 derivations"]
    write("second")
    assert lines_of_build() == ["building 1/1 lab", "lab> second", "built 1 derivation"]
    assert lines_of_build() == ["nothing to build: everything was there"]


def test_an_untracked_flake_in_a_git_repository_is_found(nix: Nix, flake: FlakeFolder) -> None:
    directory = flake.write(default='shell "lab" "echo 1 > $out"')
    subprocess.run(["git", "init", "--quiet", directory], check=True, timeout=30)
    assert nix.build(directory).out_path.read_text() == "1\n"


def test_a_build_leaves_the_sources_alone(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    (part / "flake.nix").write_text("{ outputs = { self }: { word = ''part''; }; }")
    directory = flake.write(default='shell "lab" "echo 1 > $out"')
    file = flake.directory / "flake.nix"
    file.write_text(
        file.read_text()
        .replace("outputs = { self }", f'inputs.part.url = "path:{part}";\n  outputs = {{ self, part }}')
        .replace("echo 1", "echo ${part.word}")
    )
    assert nix.build(directory).out_path.read_text() == "part\n"
    assert [path.name for path in flake.directory.iterdir()] == ["flake.nix"]


def test_two_builds_at_once_in_one_store(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.touch()
    gate = tmp_path / "gate"
    directory = flake.write(
        shared=f'shell "shared" "echo x >> {count}; while [ ! -e {gate} ]; do sleep 0.05; done; echo shared > $out"',
        one='shell "one" "cat ${self.packages.' + nix_system_of(nix) + '.shared} > $out"',
        two='shell "two" "cat ${self.packages.' + nix_system_of(nix) + '.shared} > $out"',
    )
    results: dict[str, Path] = {}

    def build(attribute: str) -> None:
        def open_gate(event: NixEvent) -> None:
            if isinstance(event, BuildStarted):
                gate.touch()

        other = Nix(nix.executable, nix.private_store, timeout=60.0)
        results[attribute] = other.build(FlakeSource(directory, attribute), on_event=open_gate).out_path

    threads = [threading.Thread(target=build, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {name: path.read_text() for name, path in results.items()} == {"one": "shared\n", "two": "shared\n"}
    assert count.read_text() == "x\n"


def nix_system_of(nix: Nix) -> str:
    return str(nix.eval(ExpressionSource("builtins.currentSystem")))


def test_a_home_that_cannot_be_written(nix: Nix, flake: FlakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nonexistent/home")
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert nix.build(flake.write(default='shell "lab" "echo 1 > $out"')).out_path.read_text() == "1\n"
    assert not Path("/nonexistent").exists()


@pytest.mark.skipif(
    os.getuid() != 0, reason="only root can become another user; as that user all tests here tell the same"
)
def test_an_unprivileged_user_can_build_in_a_private_store(nix: Nix, short_folder: Path, nix_system: str) -> None:
    nobody = 65534
    os.chown(short_folder, nobody, nobody)
    derivation = (
        f'derivation {{ name = "lab"; system = "{nix_system}"; builder = "/bin/sh"; args = [ "-c" "echo 1 > $out" ]; }}'
    )
    environment = {**nix.environment(), "HOME": str(short_folder)}
    command = [str(nix.executable), "build", "--offline", "--impure", "--no-link", "--json", "--expr", derivation]
    output = subprocess.run(
        command, env=environment, user=nobody, group=nobody, cwd="/", check=True, capture_output=True, timeout=60
    ).stdout
    assert Path(json.loads(output)[0]["outputs"]["out"]).stat().st_uid == nobody
