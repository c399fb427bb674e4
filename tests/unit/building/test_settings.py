from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_repx.building.settings import PrivateStore, nix_environment

pytestmark = pytest.mark.unit


def environment(
    inherited: dict[str, str] | None = None,
    *,
    private_store: PrivateStore | None = None,
    allow_network: bool = False,
    max_jobs: int | None = None,
) -> dict[str, str]:
    given = {"HOME": os.getcwd()} if inherited is None else inherited  # noqa: PTH109 - a home that can be written
    return nix_environment(given, private_store=private_store, allow_network=allow_network, max_jobs=max_jobs)


def settings(made: dict[str, str]) -> dict[str, str]:
    """What nix makes of the text: the last line about a setting wins."""
    pairs = [line.split("=", 1) for line in made["NIX_CONFIG"].splitlines()]
    return {name.strip(): value.strip() for name, value in pairs}


def test_the_network_is_off_unless_allowed() -> None:
    off = settings(environment())
    assert {
        name: off[name] for name in ("substitute", "substituters", "use-registries", "flake-registry", "builders")
    } == {
        "substitute": "false",
        "substituters": "",
        "use-registries": "false",
        "flake-registry": "",
        "builders": "",
    }
    assert environment()["https_proxy"] == "http://127.0.0.1:9"
    assert environment()["GIT_ALLOW_PROTOCOL"] == "file"


def test_an_allowed_network_changes_no_settings_of_the_users(tmp_path: Path) -> None:
    inherited = {"HOME": str(tmp_path), "https_proxy": "http://proxy:3128"}
    made = environment(inherited, allow_network=True)
    assert made["https_proxy"] == "http://proxy:3128"
    assert set(settings(made)) == {"extra-experimental-features", "warn-dirty", "eval-cache"}


def test_the_users_own_configuration_is_kept_and_overruled_where_needed(tmp_path: Path) -> None:
    inherited = {"HOME": str(tmp_path), "NIX_CONFIG": "sandbox = relaxed\nsubstituters = https://cache.example.com"}
    made = settings(environment(inherited))
    assert made["sandbox"] == "relaxed"
    assert made["substituters"] == ""


def test_the_machines_store_is_left_to_the_machines_configuration(tmp_path: Path) -> None:
    made = environment({"HOME": str(tmp_path), "NIX_REMOTE": "daemon"})
    assert made["NIX_REMOTE"] == "daemon"
    assert not {name for name in made if name.startswith(("NIX_STORE", "NIX_STATE"))}
    assert not {"store", "sandbox", "build-users-group", "max-jobs"} & settings(made).keys()


def test_a_private_store_keeps_everything_below_its_root(tmp_path: Path) -> None:
    inherited = {"HOME": str(tmp_path), "NIX_REMOTE": "daemon", "NIX_STORE_DIR": "/elsewhere"}
    made = environment(inherited, private_store=PrivateStore(tmp_path))
    assert made["NIX_REMOTE"] == "local"
    for name in ("NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR", "XDG_CACHE_HOME"):
        assert Path(made[name]).is_relative_to(tmp_path)
    assert settings(made)["build-users-group"] == ""
    assert settings(made)["sandbox"] == "false"


def test_parallel_builds() -> None:
    assert settings(environment(max_jobs=3))["max-jobs"] == "3"
    assert settings(environment(private_store=PrivateStore(Path("/srv/nix"))))["max-jobs"] == "auto"


@pytest.mark.parametrize("inherited", [{}, {"HOME": ""}, {"HOME": "/nonexistent"}])
def test_a_home_that_cannot_be_written_is_replaced(inherited: dict[str, str], tmp_path: Path) -> None:
    assert environment(inherited, private_store=PrivateStore(tmp_path))["HOME"] == str(tmp_path)
    made = environment(inherited)
    assert os.access(made["HOME"], os.W_OK)
    assert Path(made["XDG_CACHE_HOME"]).is_relative_to(made["HOME"])


def test_a_replacement_home_that_somebody_else_put_there_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    elsewhere = tmp_path / "trap"
    elsewhere.mkdir()
    (tmp_path / f"repx-nix-{os.getuid()}").symlink_to(elsewhere)
    assert not Path(environment({})["HOME"]).resolve().is_relative_to(elsewhere)
