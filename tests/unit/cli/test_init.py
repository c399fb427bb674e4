from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest

from airflow_provider_repx.cli.init import init, write_lab
from airflow_provider_repx.errors import RepxError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ['a"""\nboom', "my lab", ".hidden", "", "n" * 97])
def test_a_name_that_dags_refuse_is_refused_here(tmp_path: Path, name: str) -> None:
    with pytest.raises(RepxError, match="--name"):
        write_lab(tmp_path / "lab", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [".my lab", "it's"])
def test_any_directory_will_do(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    init(argparse.Namespace(directory=str(tmp_path / "x" / ".." / name), name=None))
    (command,) = (line for line in capsys.readouterr().out.splitlines() if "Build it:" in line)
    assert f"path:{tmp_path / name}#lab" in shlex.split(command)
    with pytest.raises(RepxError, match="not empty"):
        write_lab(tmp_path / name, "again")
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".repx-init")]
    (dag_file,) = (tmp_path / name).glob("repx_*.py")
    compile(dag_file.read_text(), "dag", "exec")


def test_the_current_directory_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    init(argparse.Namespace(directory=".", name=None))
    assert Path("flake.nix").is_file()
    assert Path("repx_here.py").is_file()


def test_what_the_system_refuses_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as end:
        init(argparse.Namespace(directory=str(tmp_path / "file" / "lab"), name=None))
    assert end.value.code == 1
    assert "[ERROR]" in capsys.readouterr().err
