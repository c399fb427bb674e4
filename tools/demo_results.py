"""What the demo's runs have made, for a person: the table of all measurements, and where the plots are."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from airflow_provider_repx.execution.store import Results

__all__ = ["print_outputs"]

_PLOT_SUFFIXES = frozenset({".svg", ".png"})
_SIGNIFICANT_DIGITS = 4


def print_outputs(results: Results, console: Console) -> None:
    """Print the tables (CSV files) among a run's outputs, then the paths of all tables and plots."""
    outputs = [path for row in results for path in row.outputs.values()]
    tables = [path for path in outputs if path.suffix == ".csv"]
    for path in tables:
        console.print(_table(path))
    for path in tables:
        console.print(f"Table: {path}", soft_wrap=True, markup=False)
    for path in outputs:
        if path.suffix in _PLOT_SUFFIXES:
            console.print(f"Plot: {path}", soft_wrap=True, markup=False)


def _table(path: Path) -> Table:
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    table = Table()
    for column, name in enumerate(header):
        numeric = all(_is_number(line[column]) for line in lines)
        table.add_column(escape(name), justify="right" if numeric else "left", no_wrap=True)
    for line in lines:
        table.add_row(*map(_shown, line))
    return table


def _shown(value: str) -> str:
    return f"{float(value):.{_SIGNIFICANT_DIGITS}g}" if _is_number(value) else escape(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
