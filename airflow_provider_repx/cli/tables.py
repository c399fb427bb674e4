"""Tables in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["print_table"]

_UNBOUNDED = 10_000


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print a header and rows: folded to the terminal's width, or one line per row where no terminal is."""
    console = Console(width=None if sys.stdout.isatty() else _UNBOUNDED, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    # As `Text`, since nothing of a lab is rich's markup.
    for name in rows[0]:
        table.add_column(Text(name), overflow="fold")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    console.print(table)
