"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["clean", "counted", "one_line", "print_json", "print_table"]

_STYLES = {
    "succeeded": "green",
    "success": "green",
    "ok": "green",
    "failed": "red",
    "running": "yellow",
    "warning": "yellow",
}
_GAP = "  "


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print a header and rows: folded to the terminal's width, or one line per row where no terminal is."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_folded(cleaned)
    else:
        _print_plain(cleaned)


def print_json(data: Any) -> None:
    """Print data as JSON for programs; with escapes where stdout's encoding, or none, has the characters."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(data, indent=2)
    print(text)


def counted(number: int, what: str) -> str:
    """A number of things: ``1 job``, ``2 jobs``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def one_line(text: str) -> str:
    """A text of several lines as one, for messages; without anything that moves the cursor."""
    return clean(" ".join(text.split()))


def clean(text: str) -> str:
    """The text with line breaks and terminal control characters written out: a lab's text must not move the cursor."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _print_plain(rows: Sequence[Sequence[str]]) -> None:
    from rich.cells import cell_len  # noqa: PLC0415 - keeps other commands quick to start

    lengths = [[len(cell) if cell.isascii() else cell_len(cell) for cell in row] for row in rows]
    widths = [max(column) for column in zip(*lengths, strict=True)]
    lines = []
    for row, own in zip(rows, lengths, strict=True):
        cells = (cell + " " * (width - length) for cell, width, length in zip(row, widths, own, strict=True))
        lines.append(_GAP.join(cells).rstrip() + "\n")
    sys.stdout.write("".join(lines))


def _print_folded(rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - keeps other commands quick to start
    from rich.table import Table  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    table = Table(box=None, pad_edge=False, header_style="bold")
    # As `Text`, since nothing of a lab is rich's markup.
    for name in rows[0]:
        table.add_column(Text(name), overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(table)
