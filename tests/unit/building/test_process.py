from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from airflow_provider_repx.building.process import ProcessRunner
from airflow_provider_repx.errors import CommandError, CommandKilledError, CommandTimeoutError

pytestmark = pytest.mark.unit

STUBBORN = "trap '' TERM; "
SLEEP_FOREVER = "sleep 600 & echo $! >> {pids}; echo $$ >> {pids}; echo ready >&2; wait"
# The sleep leaves the session of the command, as the builders of Nix do.
SLEEP_ELSEWHERE = "setsid sh -c 'echo $$ >> {pids}; echo ready >&2; sleep 600'; true"


class InterruptError(Exception):
    pass


def processes(pids: Path) -> list[int]:
    return [int(line) for line in pids.read_text().split()]


def assert_gone(pids: Path) -> None:
    numbers = processes(pids)
    assert numbers
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(is_alive(number) for number in numbers):
            return
        threading.Event().wait(0.02)
    pytest.fail(f"still alive: {[number for number in numbers if is_alive(number)]}")


def is_alive(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_returns_stdout_and_streams_stderr_line_by_line() -> None:
    lines: list[str] = []
    script = r"echo out; printf 'one\ntwo\r\n\nlast' >&2; echo more"
    stdout = ProcessRunner().run(["sh", "-c", script], timeout=30, on_line=lines.append)
    assert stdout == "out\nmore\n"
    assert lines == ["one", "two", "", "last"]


def test_lines_arrive_while_the_command_runs(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def open_gate(line: str) -> None:
        if line == "waiting":
            gate.write_text("go\n")

    script = f"echo waiting >&2; cat {gate}"
    assert ProcessRunner().run(["sh", "-c", script], timeout=30, on_line=open_gate) == "go\n"


def test_much_output_on_both_streams_does_not_block() -> None:
    count = 0

    def count_line(_: str) -> None:
        nonlocal count
        count += 1

    script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789; echo 0123456789 >&2; i=$((i+1)); done"
    stdout = ProcessRunner().run(["sh", "-c", script], timeout=60, on_line=count_line)
    assert len(stdout) == 11 * 20000
    assert count == 20000


def test_a_line_without_end_is_handed_over_in_pieces() -> None:
    lines: list[str] = []
    ProcessRunner().run(["sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x >&2"], timeout=60, on_line=lines.append)
    assert sum(map(len, lines)) == 5000000
    assert len(lines) > 1


def test_bytes_that_are_no_text_do_no_harm() -> None:
    lines: list[str] = []
    stdout = ProcessRunner().run(["sh", "-c", r"printf '\377a'; printf '\377b' >&2"], timeout=30, on_line=lines.append)
    assert stdout == "\ufffda"
    assert lines == ["\ufffdb"]


def test_a_failure_carries_exit_code_and_stderr() -> None:
    with pytest.raises(CommandError, match=r"^sh ended with exit code 3: went wrong$") as caught:
        ProcessRunner().run(["sh", "-c", "echo went wrong >&2; exit 3"], timeout=30)
    assert (caught.value.exit_code, caught.value.stderr) == (3, "went wrong")


def test_a_signal_is_named() -> None:
    with pytest.raises(CommandError, match="was killed by SIGKILL") as caught:
        ProcessRunner().run(["sh", "-c", "kill -KILL $$"], timeout=30)
    assert caught.value.exit_code == -signal.SIGKILL


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(CommandError, match=r"no-such-command cannot be started: .*No such file") as caught:
        ProcessRunner().run(["no-such-command"], timeout=30)
    assert caught.value.exit_code is None


def test_environment_and_directory_are_those_given(tmp_path: Path) -> None:
    arguments = ["/bin/sh", "-c", 'echo "$WORD-${HOME-unset}"; pwd -P']
    stdout = ProcessRunner().run(arguments, timeout=30, environment={"WORD": "a b"}, directory=tmp_path)
    assert stdout.split("\n")[:2] == ["a b-unset", str(tmp_path.resolve())]


@pytest.mark.parametrize("script", [SLEEP_FOREVER, STUBBORN + SLEEP_FOREVER, SLEEP_ELSEWHERE])
def test_nothing_is_left_after_the_time_limit(tmp_path: Path, script: str) -> None:
    pids = tmp_path / "pids"
    started = time.monotonic()
    with pytest.raises(CommandTimeoutError, match=r"stopped after 1 s") as caught:
        ProcessRunner(grace=0.5).run(["sh", "-c", script.format(pids=pids)], timeout=1)
    assert time.monotonic() - started < 10
    assert caught.value.stderr == "ready"
    assert_gone(pids)


@pytest.mark.parametrize("script", [SLEEP_FOREVER, STUBBORN + SLEEP_FOREVER, SLEEP_ELSEWHERE])
@pytest.mark.parametrize("exception", [KeyboardInterrupt, InterruptError])
def test_nothing_is_left_after_an_exception_in_the_callback(
    tmp_path: Path, script: str, exception: type[BaseException]
) -> None:
    pids = tmp_path / "pids"

    def interrupt(_: str) -> None:
        raise exception

    with pytest.raises(exception):
        ProcessRunner(grace=0.5).run(["sh", "-c", script.format(pids=pids)], timeout=60, on_line=interrupt)
    assert_gone(pids)


def test_nothing_is_left_after_a_signal_handler_raises(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def handler(*_: object) -> NoReturn:
        raise InterruptError

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(InterruptError):
            ProcessRunner(grace=0.5).run(
                ["sh", "-c", SLEEP_FOREVER.format(pids=pids)],
                timeout=60,
                # From another thread, so that the handler interrupts the wait and not the callback.
                on_line=lambda _: threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start(),
            )
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert_gone(pids)


def test_kill_from_another_thread(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    runner = ProcessRunner(grace=0.5)
    killer = threading.Thread(target=runner.kill)
    with pytest.raises(CommandKilledError, match="killed on request"):
        runner.run(["sh", "-c", SLEEP_FOREVER.format(pids=pids)], timeout=60, on_line=lambda _: killer.start())
    killer.join()
    assert_gone(pids)


def test_kill_from_a_signal_handler(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    runner = ProcessRunner(grace=0.5)
    previous = signal.signal(signal.SIGUSR1, lambda *_: runner.kill())
    try:
        with pytest.raises(CommandKilledError):
            runner.run(
                ["sh", "-c", SLEEP_FOREVER.format(pids=pids)],
                timeout=60,
                on_line=lambda _: os.kill(os.getpid(), signal.SIGUSR1),
            )
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert_gone(pids)


def test_a_killed_runner_starts_nothing_more(tmp_path: Path) -> None:
    runner = ProcessRunner()
    runner.kill()
    with pytest.raises(CommandKilledError):
        runner.run(["touch", str(tmp_path / "made")], timeout=30)
    assert not (tmp_path / "made").exists()


def test_a_child_that_keeps_the_streams_open_does_not_hold_up_the_result(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    started = time.monotonic()
    try:
        stdout = ProcessRunner().run(["sh", "-c", f"echo done; sleep 600 & echo $! > {pids}"], timeout=60)
        assert stdout == "done\n"
        assert time.monotonic() - started < 30
    finally:
        for number in processes(pids):
            os.kill(number, signal.SIGKILL)


def test_a_command_that_closes_its_streams_is_still_limited() -> None:
    with pytest.raises(CommandTimeoutError):
        ProcessRunner(grace=0.5).run(["sh", "-c", "exec >&- 2>&-; exec sleep 600"], timeout=1)
