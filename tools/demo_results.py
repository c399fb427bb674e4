"""What the demo's runs have made, for a person: the table of all measurements, and where the plots are."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from airflow_provider_repx.execution.store import Results

__all__ = ["print_outputs"]

_PLOT_SUFFIXES = frozenset({".svg", ".png"})
_SIGNIFICANT_DIGITS = 4
_UNBOUNDED = 100_000
"""Columns of a console in which any table fits."""


def print_outputs(results: Results, console: Console) -> None:
    """Print the tables (CSV files) among a run's outputs, then the paths of all tables and plots."""
    outputs = [path for row in results for path in row.outputs.values()]
    tables = [path for path in outputs if path.suffix == ".csv"]
    for path in tables:
        _print_table(_table(path), console)
    for path in tables:
        console.print(f"Table: {path}", soft_wrap=True, markup=False)
    for path in outputs:
        if path.suffix in _PLOT_SUFFIXES:
            console.print(f"Plot: {path}", soft_wrap=True, markup=False)


def _print_table(table: Table, console: Console) -> None:
    """Print a table whole, in lines longer than the console's where it is wider: what is cut off is lost."""
    wide = console.options.update(max_width=_UNBOUNDED)
    width = console.measure(table, options=wide).maximum
    if width <= console.width:
        console.print(table)
        return
    for line in console.render_lines(table, wide.update(width=width), pad=False):
        console.print(Text("".join(segment.text for segment in line)), soft_wrap=True)


def _table(path: Path) -> Table:
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    # Narrow gaps, so that the example's table fits into a terminal of 80 columns.
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
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
