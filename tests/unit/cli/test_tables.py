from __future__ import annotations

import pytest

from airflow_provider_repx.cli.tables import print_table

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("text", ["[red]plain[/red]", r"\[/x] y", r"\[red]z", "[/]"])
def test_text_of_a_lab_is_shown_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table([[text, "b"], ["1", text]])
    header, row = capsys.readouterr().out.splitlines()
    assert text in header
    assert text in row
