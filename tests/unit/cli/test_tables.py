from __future__ import annotations

import io
import json
import re
import sys

import pytest

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.tables import one_line, print_json, print_table
from airflow_provider_repx.errors import StoreError
from tests.support.labs import job_id

pytestmark = pytest.mark.unit

ODD = "größe 模拟 \x1b[31m\u202e\udcff\r"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("text", ["[red]plain[/red]", r"\[/x] y", r"\[red]z", "[/]"])
def test_text_of_a_lab_is_shown_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table([[text, "b"], ["1", text]])
    header, row = capsys.readouterr().out.splitlines()
    assert text in header
    assert text in row


def test_a_narrow_terminal_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        ["job", "stage", "status"],
        [job_id("simulate-1.1"), "模拟" * 9, "succeeded"],
        [job_id("b-1"), "b", "failed"],
    ]
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    print_table(rows)
    lines = re.sub("\x1b\\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= 40
    folded = "".join(line[: lines[0].index("stage")].strip() for line in lines)
    assert folded == "job" + job_id("simulate-1.1") + job_id("b-1")


def test_nothing_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([["name"], [ODD]])
    (_, row) = capsys.readouterr().out.split("\n")[:2]
    assert row == "größe 模拟 \\x1b[31m\\u202e\\udcff\\r"
    assert one_line("two\n  lines\x1b[2J\n") == "two lines\\x1b[2J"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_json_is_json_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    print_json({"name": ODD})
    sys.stdout.flush()
    assert json.loads(raw.getvalue().decode(encoding)) == {"name": ODD}


def test_messages_can_be_written_in_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr("airflow_provider_repx.cli.errors.send_logs_to_stderr", lambda: None)

    @command
    def fail() -> None:
        raise StoreError(f"{ODD}: cannot be read:\nPermission denied")

    with pytest.raises(SystemExit) as end:
        fail()
    sys.stderr.flush()
    assert end.value.code == 1
    (line,) = raw.getvalue().decode("ascii").splitlines()
    assert line.startswith("[ERROR] gr\\xf6\\xdfe ")
    assert line.endswith(": cannot be read: Permission denied")
