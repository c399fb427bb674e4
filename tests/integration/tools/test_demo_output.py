from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from airflow_provider_repx.execution.store import JobStatus, ResultRow, Results
from tools.demo_progress import RunProgress, show_progress
from tools.demo_results import print_outputs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_progress_in_a_file_is_a_few_lines() -> None:
    output = io.StringIO()
    with show_progress(Console(file=output), ["simulation"]) as show:
        show(RunProgress("simulation", "queued", 0, 1000))
        for done in range(1001):
            show(RunProgress("simulation", "running", done, 1000))
        show(RunProgress("simulation", "success", 1000, 1000))
    lines = output.getvalue().splitlines()
    assert lines[0] == "  simulation (queued): 0 of 1000 jobs done"
    assert lines[-2:] == [
        "  simulation (running): 1000 of 1000 jobs done",
        "  simulation (success): 1000 of 1000 jobs done",
    ]
    assert len(lines) < 12


def test_progress_in_a_terminal_is_a_bar() -> None:
    output = io.StringIO()
    with show_progress(Console(file=output, force_terminal=True, width=100), ["simulation"]) as show:
        show(RunProgress("simulation", "success", 39, 39))
    assert "simulation (success)" in output.getvalue()
    assert "39/39" in output.getvalue()


def test_tables_and_plots_are_shown_with_their_paths(tmp_path: Path) -> None:
    table, plot, other = tmp_path / "table.csv", tmp_path / ("plot-" + "x" * 200 + ".svg"), tmp_path / "notes.txt"
    table.write_text('label,temperature,energy\n"[bold]",2.269,-1.4142135\nhot,inf,\n')
    row = ResultRow("id", "gather", JobStatus.SUCCEEDED, {}, {"table": table, "plot": plot, "other": other})
    output = io.StringIO()
    print_outputs(Results((row,)), Console(file=output, width=80))
    text = output.getvalue()
    assert "[bold]" in text
    assert "-1.414" in text
    assert f"Table: {table}\n" in text
    assert f"Plot: {plot}\n" in text
    assert str(other) not in text


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("width", [20, 80])
def test_nothing_of_a_table_is_cut(tmp_path: Path, width: int, terminal: bool) -> None:
    names = [f"quantity_number_{number}" for number in range(9)]
    values = [f"{number}.125" for number in range(1001, 1010)]
    file = tmp_path / "table.csv"
    file.write_text(",".join(names) + "\n" + ",".join(values) + "\n")
    output = io.StringIO()
    row = ResultRow("id", "gather", JobStatus.SUCCEEDED, {}, {"table": file})
    console = Console(file=output, width=width, force_terminal=terminal, color_system=None)
    print_outputs(Results((row,)), console)
    text = output.getvalue()
    for name in names:
        assert name in text
    for number in range(1001, 1010):
        assert str(number) in text
    assert "…" not in text
