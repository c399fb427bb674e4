from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from tools.airflow_local import AirflowInstance, wait_until
from tools.airflow_local.processes import MARK_VARIABLE, identify, is_running, launch, send, stop_all, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

MARK = f"test-of-processes-{secrets.token_hex(4)}"


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def start(tmp_path: Path, script: str) -> subprocess.Popen[bytes]:
    """A shell that runs `script`; its children must be visible before it counts as started."""
    process = launch(
        ["bash", "-c", f"{script}\ntouch ready; wait"],
        environment={"PATH": os.environ["PATH"], MARK_VARIABLE: MARK},
        log=tmp_path / "log",
        cwd=tmp_path,
    )
    wait_until((tmp_path / "ready").exists, timeout=10, what="the shell")
    return process


def test_a_recycled_pid_is_never_signalled(stranger: subprocess.Popen[bytes]) -> None:
    now = identify(stranger.pid)
    assert now is not None
    earlier_process_with_this_pid = replace(now, started_ticks=now.started_ticks - 1)

    assert not is_running(earlier_process_with_this_pid)
    assert not send(earlier_process_with_this_pid, signal.SIGKILL)
    assert stop_all([earlier_process_with_this_pid], mark=MARK, grace=0.1) == 0
    assert stranger.poll() is None


def test_stop_spares_a_recycled_pid_in_the_record(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    now = identify(stranger.pid)
    assert now is not None
    instance = AirflowInstance(tmp_path)
    before_the_last_boot = replace(now, boot_id="another boot")
    record = {"components": {"scheduler": {"process": asdict(before_the_last_boot), "started_at": 0.0}}}
    (tmp_path / "processes.json").write_text(json.dumps(record))

    assert not instance.status()["scheduler"].running
    assert instance.stop(grace=0.1) == 0
    assert stranger.poll() is None
    assert instance.status() == {}


def test_a_zombie_does_not_live(tmp_path: Path) -> None:
    process = start(tmp_path, "sleep 600 &")
    identity = identify(process.pid)
    assert identity is not None
    process.kill()
    wait_until(lambda: not is_running(identity), timeout=10, what="the end of the process")
    assert process.wait(timeout=10) == -signal.SIGKILL
    stop_all([], mark=MARK, grace=5)


def test_an_orphan_in_another_session_is_found_by_its_mark_and_ended(tmp_path: Path) -> None:
    process = start(tmp_path, "setsid sleep 600 &")
    root = identify(process.pid)
    assert root is not None
    family = tree_of([root], MARK)
    assert len(family) == 2
    process.kill()
    process.wait()

    assert stop_all([root], mark=MARK, grace=0.5) == 1
    assert not any(is_running(member) for member in family)


def test_what_ignores_polite_requests_is_killed(tmp_path: Path) -> None:
    deaf = "trap '' TERM; touch {0}; while :; do sleep 600; done"
    child = deaf.format("child").replace("'", '"')
    # The parent outlives its child, so that its end tells how it was ended itself.
    process = start(tmp_path, f"bash -c '{child}' &\nuntil [[ -e child ]]; do sleep 0.01; done\n{deaf.format('ready')}")
    root = identify(process.pid)
    assert root is not None

    stop_all([root], mark=MARK, grace=0.2)

    assert process.wait(timeout=10) == -signal.SIGKILL
    assert tree_of([root], MARK) == frozenset()


def test_a_suspended_process_ends_too(tmp_path: Path) -> None:
    process = start(tmp_path, "sleep 600 &")
    root = identify(process.pid)
    assert root is not None
    send(root, signal.SIGSTOP)

    stop_all([root], mark=MARK, grace=5)

    assert process.wait(timeout=10) == -signal.SIGTERM


def test_an_unusual_command_name_is_understood(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 (b"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([str(program), "600"]) as process:
        identity = identify(process.pid)
        own = identify(os.getpid())
        process.kill()
    assert identity is not None
    assert own is not None
    # A number from another field would be far off: the two started within the time of a test run.
    assert 0 <= identity.started_ticks - own.started_ticks < 3600 * os.sysconf("SC_CLK_TCK")


def test_stop_of_a_home_that_never_was(tmp_path: Path) -> None:
    assert AirflowInstance(tmp_path / "missing").stop() == 0
    assert not (tmp_path / "missing").exists()


def test_the_caller_survives_stopping_its_own_instance(tmp_path: Path) -> None:
    code = (
        "from tools.airflow_local.processes import stop_all;"
        f"print(stop_all([], mark={MARK!r}, grace=0.1), 'and still here')"
    )
    environment = {**os.environ, MARK_VARIABLE: MARK}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "0 and still here\n"
