"""Time limits and kills with real builders, which run in sessions of their own."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from airflow_provider_repx.building import Nix
from airflow_provider_repx.building.process import ProcessRunner
from airflow_provider_repx.building.structured_log import BuildLogLine, NixEvent
from airflow_provider_repx.errors import CommandKilledError, NixTimeoutError

if TYPE_CHECKING:
    from tests.integration.building.conftest import FlakeFolder

pytestmark = pytest.mark.integration


@pytest.fixture(params=["", "trap '' TERM; "], ids=["obedient", "stubborn"])
def hanging(request: pytest.FixtureRequest, flake: FlakeFolder, tmp_path: Path) -> str:
    script = f"{request.param}sleep 600 & echo $! >> {tmp_path}/pids; echo $$ >> {tmp_path}/pids; echo ready; wait"
    return flake.write(default=f'shell "lab" "{script}"', quick='shell "quick" "echo 1 > $out"')


def assert_builders_gone(tmp_path: Path) -> None:
    numbers = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(numbers) == 2
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(number) for number in numbers):
        assert time.monotonic() < deadline, "a builder is left"
        threading.Event().wait(0.02)


def with_time_limit(nix: Nix, seconds: float) -> Nix:
    return Nix(nix.executable, nix.private_store, timeout=seconds, runner=ProcessRunner(grace=1.0))


def test_nothing_is_left_after_the_time_limit(nix: Nix, hanging: str, tmp_path: Path) -> None:
    with pytest.raises(NixTimeoutError, match=r"did not finish within 2 s and was stopped"):
        with_time_limit(nix, 2).build(hanging)
    assert_builders_gone(tmp_path)


def test_the_store_is_free_for_the_next_build(nix: Nix, hanging: str, tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / "pids").unlink(missing_ok=True)
        with pytest.raises(NixTimeoutError):
            with_time_limit(nix, 2).build(hanging, out_link=tmp_path / "result")
        assert_builders_gone(tmp_path)
    assert not (tmp_path / "result").is_symlink()
    assert nix.build(f"{hanging}#quick").out_path.read_text() == "1\n"


def test_a_kill_stops_the_builders(nix: Nix, hanging: str, tmp_path: Path) -> None:
    killer = threading.Thread(target=nix.kill)

    def kill_when_ready(event: NixEvent) -> None:
        if isinstance(event, BuildLogLine):
            killer.start()

    with pytest.raises(CommandKilledError):
        nix.build(hanging, on_event=kill_when_ready)
    killer.join()
    assert_builders_gone(tmp_path)


def test_an_interrupt_stops_the_builders(nix: Nix, hanging: str, tmp_path: Path) -> None:
    def interrupt(event: NixEvent) -> None:
        if isinstance(event, BuildLogLine):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nix.build(hanging, on_event=interrupt)
    assert_builders_gone(tmp_path)
