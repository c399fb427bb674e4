from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_repx.errors import TransportError
from airflow_provider_repx.execution.transport.login_shell import kill_line, remote_command

pytestmark = pytest.mark.unit

SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/= $>&;|()\"'-")

words = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), min_size=1, max_size=4)


@given(command=words)
def test_no_letter_of_a_command_reaches_the_login_shell(command: list[str]) -> None:
    line = remote_command(command, timeout=1).line
    assert set(line) <= SAFE
    # Everything behind `-c` is in single quotes, inside which no shell sees anything.
    assert line.startswith("exec /bin/sh -c '")
    assert line.endswith("'")
    assert line.count("'") == 2


@settings(max_examples=15, deadline=None)
@given(arguments=words)
def test_a_shell_gives_the_arguments_back(arguments: list[str]) -> None:
    remote = remote_command(["printf", "%s\\0", *arguments], timeout=5)
    done = subprocess.run(["sh", "-c", remote.line], capture_output=True, check=True)
    assert remote.strip(done.stdout) == "".join(f"{one}\0" for one in arguments).encode()
    assert remote.strip(done.stderr) == b""
    assert remote.process_id(done.stdout) is not None


def test_what_comes_before_the_marker_is_cut_off() -> None:
    remote = remote_command(["true"], timeout=1)
    assert remote.strip(b"Welcome\n" + remote.marker + b" 12\nout") == b"out"
    assert remote.strip(b"This account is not available.\n") is None
    assert remote.process_id(b"no end of line" + remote.marker + b" 12\n") == 12
    assert remote.process_id(remote.marker + b" 12") is None


def test_the_target_itself_limits_the_time() -> None:
    remote = remote_command(["sh", "-c", "echo $PPID; ps -o args= -p $PPID"], timeout=1.5)
    done = subprocess.run(["sh", "-c", remote.line], capture_output=True, check=True, text=True)
    assert "timeout -k 10 12 sh -c" in done.stdout


def test_variables_and_folders_are_quoted() -> None:
    remote = remote_command(
        ["printenv", "NAME", "PATH"], timeout=5, environment={"NAME": "a'b $c"}, search_path=[Path("/it's here")]
    )
    done = subprocess.run(["sh", "-c", remote.line], capture_output=True, check=True)
    assert (remote.strip(done.stdout) or b"").startswith(b"a'b $c\n/it's here:")


@pytest.mark.parametrize("command", [[], ["a\0b"]])
def test_what_is_no_command_is_refused(command: list[str]) -> None:
    with pytest.raises(TransportError, match="is no command"):
        remote_command(command, timeout=1)


def test_data_belongs_on_stdin() -> None:
    with pytest.raises(TransportError, match="too many for one line; send its data on stdin"):
        remote_command(["echo", "x" * 100_000], timeout=1)


def test_a_signal_goes_to_the_whole_group() -> None:
    assert kill_line(12, "TERM") == "exec /bin/sh -c 'kill -TERM -12'"
