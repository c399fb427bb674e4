"""Nothing is asked of the network unless it is allowed: counted by a server that everything points to."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.building import ExpressionSource, FlakeSource, Nix
from airflow_provider_repx.errors import NixError, NixEvaluationError, NixTransientError

if TYPE_CHECKING:
    from tests.integration.building.conftest import FlakeFolder

pytestmark = pytest.mark.integration


class CountingServer(http.server.ThreadingHTTPServer):
    """Answers nothing but errors, and remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: CountingServer

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.send_error(404)

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    with CountingServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv(
            "NIX_CONFIG", f"substituters = {running.url}\nflake-registry = {running.url}/registry\nsubstitute = true"
        )
        yield running
        running.shutdown()
        thread.join()


def allowed(nix: Nix) -> Nix:
    return Nix(nix.executable, nix.private_store, allow_network=True, timeout=60.0)


def test_a_build_asks_no_cache(nix: Nix, flake: FlakeFolder, server: CountingServer) -> None:
    directory = flake.write(one='shell "one" "echo 1 > $out"', two='shell "two" "echo 2 > $out"')
    nix.build(FlakeSource(directory, "one"))
    assert server.requests == []
    # The same build asks once it may, so the server would have noticed.
    allowed(nix).build(FlakeSource(directory, "two"))
    assert server.requests != []


def test_fetchers_reach_nothing(nix: Nix, server: CountingServer) -> None:
    fetch = ExpressionSource(f'builtins.fetchurl "{server.url}/data"')
    with pytest.raises(NixEvaluationError, match="allow_network=True"):
        nix.eval(fetch)
    assert server.requests == []
    with pytest.raises(NixError):
        allowed(nix).eval(fetch)
    assert "/data" in server.requests


def test_registry_names_ask_no_registry(nix: Nix, server: CountingServer) -> None:
    with pytest.raises(NixEvaluationError, match="allow_network=True"):
        nix.build(FlakeSource("some-registry-name"))
    assert server.requests == []
    with pytest.raises(NixError):
        allowed(nix).build(FlakeSource("some-registry-name"))
    assert server.requests != []


def test_an_allowed_network_that_is_not_there_is_worth_a_retry(nix: Nix) -> None:
    with CountingServer() as free:
        nobody_listens = free.url
    with pytest.raises(NixTransientError):
        allowed(nix).eval(ExpressionSource(f'builtins.fetchurl "{nobody_listens}/data"'))


def test_nix_itself_reports_the_settings(nix: Nix, server: CountingServer) -> None:
    for arguments in (["config", "show", "--json"], ["show-config", "--json"]):
        shown = subprocess.run(
            [str(nix.executable), *arguments], env=dict(nix.environment()), capture_output=True, timeout=60, check=False
        )
        if shown.returncode == 0:
            break
    settings = {name: entry["value"] for name, entry in json.loads(shown.stdout).items()}
    assert settings["substituters"] == []
    assert settings["substitute"] is False
    assert settings["builders"] == ""
    assert settings["use-registries"] is False
    assert settings["flake-registry"] == ""
    assert settings["sandbox"] in {False, "false"}


def test_nobodys_files_are_written(
    nix: Nix, flake: FlakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    nix.build(flake.write(default='shell "lab" "echo 1 > $out"'))
    assert list(home.iterdir()) == []
