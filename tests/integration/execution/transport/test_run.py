"""What both ways to a target promise."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_repx.errors import CommandTimeoutError
from airflow_provider_repx.execution.transport import LocalTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path
    from typing import TypeVar

    from airflow_provider_repx.execution.transport import Completed, Transport

    Value = TypeVar("Value")
    NewTransport = Callable[[], Transport]

pytestmark = pytest.mark.integration

TIMEOUT = 60.0


def using(new: NewTransport, action: Callable[[Transport], Awaitable[Value]]) -> Value:
    async def scenario() -> Value:
        transport = new()
        try:
            return await action(transport)
        finally:
            await transport.close()

    return asyncio.run(scenario())


def ran(new: NewTransport, *command: str, stdin: bytes = b"") -> Completed:
    return using(new, lambda transport: transport.run(command, stdin=stdin, timeout=TIMEOUT))


def test_output_errors_and_exit_code_arrive(new_transport: NewTransport) -> None:
    done = ran(new_transport, "bash", "-c", "echo out; echo err >&2; exit 7")
    assert (done.exit_code, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_a_signal_is_a_negative_exit_code(new_transport: NewTransport) -> None:
    assert ran(new_transport, "bash", "-c", "kill -TERM $$").exit_code == -15


def test_a_missing_program_is_exit_code_127(new_transport: NewTransport) -> None:
    done = ran(new_transport, "no-such-program", "-x")
    assert done.exit_code == 127
    assert b"no-such-program" in done.stderr


def test_stdin_is_binary_safe(new_transport: NewTransport) -> None:
    data = bytes(range(256)) * 4096
    assert ran(new_transport, "cat", stdin=data).stdout == data


def test_stdin_may_come_piece_by_piece(new_transport: NewTransport) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(40):
            yield bytes([number]) * 300_000
            await asyncio.sleep(0)

    expected = hashlib.sha256(b"".join(bytes([number]) * 300_000 for number in range(40))).hexdigest()
    done = using(new_transport, lambda transport: transport.run(["sha256sum"], stdin=pieces(), timeout=TIMEOUT))
    assert done.stdout.split()[0].decode() == expected


def test_a_command_that_reads_nothing_ends_as_it_likes(new_transport: NewTransport) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b"x" * 100_000

    done = using(
        new_transport, lambda transport: transport.run(["sh", "-c", "exit 3"], stdin=pieces(), timeout=TIMEOUT)
    )
    assert done.exit_code == 3


def test_an_error_of_the_input_ends_the_command_and_passes_through(new_transport: NewTransport) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        using(new_transport, lambda transport: transport.run(["sleep", "600"], stdin=pieces(), timeout=TIMEOUT))


def test_fifty_megabytes_of_output_arrive(new_transport: NewTransport) -> None:
    done = ran(new_transport, "head", "-c", "50000000", "/dev/zero")
    assert len(done.stdout) == 50_000_000
    assert not done.stdout.strip(b"\0")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30), max_size=4))
def test_arguments_arrive_as_they_are(new_transport: NewTransport, arguments: list[str]) -> None:
    done = ran(new_transport, "printf", "%s\\0", "first", *arguments)
    assert done.stdout.decode() == "".join(f"{argument}\0" for argument in ["first", *arguments])


def test_odd_arguments_arrive_as_they_are(new_transport: NewTransport) -> None:
    odd = ["", " ", "a b", "it's", '"', "$HOME", "`id`", "$(id)", "!!", "!1", "\\", "\\n", "a\nb", "*", "~", "-n", "é¿"]
    odd += ["%s", ";", "&", "{a,b}"]
    done = ran(new_transport, "printf", "%s\\0", *odd)
    assert done.stdout.decode().split("\0")[:-1] == odd


def test_no_secret_of_this_process_reaches_a_command(
    new_transport: NewTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "fernet")
    monkeypatch.setenv("AIRFLOW_CONN_X", "secret")
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    seen = ran(new_transport, "env").stdout.decode()
    assert "fernet" not in seen
    assert "secret" not in seen
    assert "LC_ALL=C\n" in seen


def test_a_command_whose_time_is_up_is_ended(new_transport: NewTransport, tmp_path: Path) -> None:
    script = f'trap "" TERM; echo $$ > "{tmp_path}/pid"; echo begun >&2; sleep 600 & wait; wait; wait'
    with pytest.raises(CommandTimeoutError, match=r"bash on .* was stopped after 1 s") as raised:
        using(new_transport, lambda transport: transport.run(["bash", "-c", script], timeout=1))
    assert "begun" in raised.value.stderr
    pid = int((tmp_path / "pid").read_text())
    wait_until_gone(pid)


def test_a_cancelled_command_is_ended(new_transport: NewTransport, tmp_path: Path) -> None:
    async def scenario(transport: Transport) -> None:
        running = asyncio.create_task(
            transport.run(["bash", "-c", f'echo $$ > "{tmp_path}/pid"; exec sleep 600'], timeout=TIMEOUT)
        )
        await asyncio.to_thread(wait_for_text, tmp_path / "pid")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        # The connection is still good for others.
        assert (await transport.run(["true"], timeout=TIMEOUT)).exit_code == 0

    using(new_transport, scenario)
    wait_until_gone(int((tmp_path / "pid").read_text()))


def test_many_commands_at_once(new_transport: NewTransport) -> None:
    async def scenario(transport: Transport) -> list[Completed]:
        return list(
            await asyncio.gather(*(transport.run(["echo", str(number)], timeout=TIMEOUT) for number in range(30)))
        )

    assert [int(done.stdout) for done in using(new_transport, scenario)] == list(range(30))


def test_what_a_local_command_leaves_behind_does_not_delay_it(tmp_path: Path) -> None:
    done = ran(LocalTransport, "bash", "-c", f"sleep 600 & echo $! > {tmp_path}/pid")
    assert done.exit_code == 0
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_slurm_conf_reaches_local_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", "/somewhere/slurm.conf")
    assert ran(LocalTransport, "printenv", "SLURM_CONF").stdout == b"/somewhere/slurm.conf\n"
    explicit = ran(lambda: LocalTransport(environment={"SLURM_CONF": "/else"}), "printenv", "SLURM_CONF")
    assert explicit.stdout == b"/else\n"


def wait_for_text(file: Path) -> None:
    deadline = time.monotonic() + 30
    while not file.exists() or not file.read_text():
        assert time.monotonic() < deadline, f"{file} is not written"
        time.sleep(0.01)


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if re.fullmatch(r"\s*(Z.*)?", listed.stdout):
            return
        assert time.monotonic() < deadline, f"process {pid} lives"
        time.sleep(0.05)
