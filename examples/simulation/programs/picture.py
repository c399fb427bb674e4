"""The spins of several lattices side by side: up is dark, down is light."""

import argparse
import json
from pathlib import Path

CELL, GAP, TITLE = 6, 18, 44


def runs_of_up(row: str) -> list[tuple[int, int]]:
    """Start and length of each stretch of spins that point up."""
    stretches = []
    start = None
    for place, spin in enumerate(row + "-"):
        if spin == "+" and start is None:
            start = place
        elif spin != "+" and start is not None:
            stretches.append((start, place - start))
            start = None
    return stretches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lattices", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    lattices = json.loads(arguments.lattices.read_text())
    side = CELL * max(len(lattice["rows"]) for lattice in lattices)
    width, height = GAP + (side + GAP) * len(lattices), TITLE + side + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        "<title>Spins of the two-dimensional Ising model</title>",
        "<style>text { font: 13px Helvetica, Arial, sans-serif; text-anchor: middle; fill: #222; }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, lattice in enumerate(lattices):
        left = GAP + (side + GAP) * number
        middle = left + side // 2
        lines.append(f'<text x="{middle}" y="18" font-weight="bold">{lattice["label"]}</text>')
        lines.append(f'<text x="{middle}" y="36">T = {lattice["temperature"]:g}</text>')
        lines.append(f'<rect x="{left}" y="{TITLE}" width="{side}" height="{side}" fill="#f2dfb8"/>')
        path = "".join(
            f"M{left + CELL * start} {TITLE + CELL * y}h{CELL * length}v{CELL}h-{CELL * length}z"
            for y, row in enumerate(lattice["rows"])
            for start, length in runs_of_up(row)
        )
        lines.append(f'<path d="{path}" fill="#1f3a5f"/>')
    lines.append("</svg>")
    arguments.output.write_text("\n".join(lines) + "\n")
    print(f"{len(lattices)} lattices")


if __name__ == "__main__":
    main()
