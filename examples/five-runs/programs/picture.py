"""Bars as long as the errors, as SVG."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from upstream import outputs

WIDTH, HEIGHT = 360, 24


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    rows: list[tuple[str, float]] = []
    for _, file in outputs(arguments.metadata, arguments.store, "score", "table"):
        with file.open(newline="") as table:
            rows += [(row["degree"], float(row["error"])) for row in csv.DictReader(table)]
    longest = max(error for _, error in rows)
    lines = [
        f'<rect x="80" y="{number * HEIGHT + 4}" width="{WIDTH * error / longest:.1f}" height="16" fill="#4682b4"/>'
        f'<text x="4" y="{number * HEIGHT + 17}" font-size="13">degree {degree}</text>'
        for number, (degree, error) in enumerate(rows)
    ]
    size = f'width="{WIDTH + 90}" height="{HEIGHT * len(rows)}"'
    arguments.output.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n' + "\n".join(lines) + "\n</svg>\n")


if __name__ == "__main__":
    main()
