"""The command line and the output of versions of Nix that are not installed, played by scripts."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.building import Nix, find_nix
from airflow_provider_repx.errors import NixError, NixNotFoundError

pytestmark = pytest.mark.unit

STORE_PATH = "/nix/store/00000000000000000000000000000000-lab"
INFO = {"narHash": "sha256-x", "narSize": 120, "references": [STORE_PATH], "deriver": STORE_PATH + ".drv"}


def playing(tmp_path: Path, output: str) -> Nix:
    script = tmp_path / "nix"
    script.write_text(f"#!/bin/sh\nprintf '%s' {shlex.quote(output)}\n")
    script.chmod(0o755)
    return Nix(script)


@pytest.mark.parametrize(
    "records",
    [
        [{"path": STORE_PATH, **INFO}],  # up to 2.18
        {STORE_PATH: INFO},  # since 2.19
    ],
)
def test_path_info_of_all_versions(tmp_path: Path, records: Any) -> None:
    info = playing(tmp_path, json.dumps(records)).path_info(Path(STORE_PATH))
    assert (info.nar_hash, info.nar_size, info.references) == ("sha256-x", 120, (Path(STORE_PATH),))
    assert info.deriver == Path(STORE_PATH + ".drv")


@pytest.mark.parametrize("records", [[{"path": STORE_PATH, "valid": False}], {STORE_PATH: None}, [], {}])
def test_paths_that_are_not_there(tmp_path: Path, records: Any) -> None:
    with pytest.raises(NixError, match="is not in the Nix store"):
        playing(tmp_path, json.dumps(records)).path_info(Path(STORE_PATH))


@pytest.mark.parametrize(
    ("records", "drv_path"),
    [
        (
            [{"drvPath": STORE_PATH + ".drv", "outputs": {"doc": "/nix/store/doc", "out": STORE_PATH}}],
            STORE_PATH + ".drv",
        ),
        ([{"drvPath": STORE_PATH + ".drv", "outputs": {"lib": STORE_PATH}, "startTime": 1}], STORE_PATH + ".drv"),
        ([{"path": STORE_PATH}], None),
        ([STORE_PATH], None),
    ],
)
def test_results_of_all_versions(tmp_path: Path, records: Any, drv_path: str | None) -> None:
    result = playing(tmp_path, json.dumps(records)).build("path:/srv/lab")
    assert result.out_path == Path(STORE_PATH)
    assert result.drv_path == (None if drv_path is None else Path(drv_path))


@pytest.mark.parametrize("output", ["", "not JSON", "[]", "{}", '[{"drvPath":"x","outputs":{}}]'])
def test_output_that_makes_no_sense(tmp_path: Path, output: str) -> None:
    with pytest.raises(NixError, match=r"nix (build )?printed"):
        playing(tmp_path, output).build("path:/srv/lab")


@pytest.mark.parametrize("output", ["nix (Nix) 2.8.0\n", "nix (Determinate Nix 3.1) 2.8.0\n"])
def test_versions(tmp_path: Path, output: str) -> None:
    assert playing(tmp_path, output).version == "2.8.0"


def test_nix_is_looked_for_on_path_and_where_installers_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    profile = tmp_path / ".nix-profile/bin/nix"
    for candidate in (profile, tmp_path / "bin/nix"):
        candidate.parent.mkdir(parents=True)
        candidate.write_text("#!/bin/sh\n")
        candidate.chmod(0o755)
        assert find_nix() == candidate


def test_a_machine_without_nix_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    if os.access("/nix/var/nix/profiles/default/bin/nix", os.X_OK):
        pytest.skip("this machine has the profile that every search ends with")
    with pytest.raises(NixNotFoundError, match="apt-get install nix-bin"):
        find_nix()


def test_a_nix_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(NixNotFoundError, match="cannot be run"):
        _ = Nix(tmp_path / "nix").version
