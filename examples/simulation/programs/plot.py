"""Magnetization and energy per spin against temperature, with error bars over the seeds and Onsager's exact curve."""

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

WIDTH, HEIGHT = 460, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 52
CRITICAL = 2 / math.log(1 + math.sqrt(2))

Points = list[tuple[float, float, float]]
"""Temperature, mean over the seeds, standard error."""


def summarize(rows: list[dict[str, str]], column: str) -> Points:
    values: dict[float, list[float]] = defaultdict(list)
    for row in rows:
        values[float(row["temperature"])].append(float(row[column]))
    return [
        (temperature, fmean(some), stdev(some) / math.sqrt(len(some)) if len(some) > 1 else 0.0)
        for temperature, some in sorted(values.items())
    ]


def onsager(temperature: float) -> float:
    """The exact magnetization of an infinite lattice."""
    return (1 - math.sinh(2 / temperature) ** -4) ** 0.125 if temperature < CRITICAL else 0.0


def ticks(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 6) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def panel(
    offset: int,
    title: str,
    label: str,
    points: Points,
    limits: tuple[float, float],
    step: float,
    color: str,
    curve: Callable[[float], float] | None = None,
) -> list[str]:
    low, high = 1.3, 3.4
    bottom, top = limits

    def x(value: float) -> float:
        return round(offset + LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT), 2)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM), 2)

    lines = [f'<text class="title" x="{x((low + high) / 2)}" y="24">{title}</text>']
    for value in ticks(low, high, 0.5):
        lines.append(f'<line class="grid" x1="{x(value)}" y1="{y(bottom)}" x2="{x(value)}" y2="{y(top)}"/>')
        lines.append(f'<text class="tick" x="{x(value)}" y="{y(bottom) + 18}">{value:g}</text>')
    for value in ticks(bottom, top, step):
        lines.append(f'<line class="grid" x1="{x(low)}" y1="{y(value)}" x2="{x(high)}" y2="{y(value)}"/>')
        lines.append(f'<text class="tick left" x="{x(low) - 8}" y="{y(value) + 4}">{value:g}</text>')
    lines.append(f'<line class="critical" x1="{x(CRITICAL)}" y1="{y(bottom)}" x2="{x(CRITICAL)}" y2="{y(top)}"/>')
    lines.append(f'<text class="note" x="{x(CRITICAL) + 5}" y="{y(top) + 14}">T = {CRITICAL:.3f}</text>')
    if curve is not None:
        steps = [low + (high - low) * number / 420 for number in range(421)]
        path = " ".join(f"{x(value)},{y(curve(value))}" for value in steps)
        lines.append(f'<polyline class="exact" points="{path}"/>')
    path = " ".join(f"{x(temperature)},{y(mean)}" for temperature, mean, _ in points)
    lines.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.2" points="{path}"/>')
    for temperature, mean, error in points:
        at, upper, lower = x(temperature), y(mean + error), y(mean - error)
        lines.append(f'<path stroke="{color}" d="M{at} {upper}V{lower}M{at - 4} {upper}h8M{at - 4} {lower}h8"/>')
        lines.append(f'<circle cx="{at}" cy="{y(mean)}" r="4" fill="{color}"/>')
    frame = f'x="{x(low)}" y="{y(top)}" width="{x(high) - x(low):.2f}" height="{y(bottom) - y(top):.2f}"'
    lines.append(f'<rect class="frame" {frame}/>')
    lines.append(f'<text class="label" x="{x((low + high) / 2)}" y="{HEIGHT - 12}">temperature (J/k)</text>')
    middle = y((bottom + top) / 2)
    lines.append(f'<text class="label" transform="translate({offset + 18} {middle}) rotate(-90)">{label}</text>')
    # The magnetization leaves the upper right corner free, the energy the lower right one.
    left, line = x(high) - 168, (y(bottom) - 24 if curve is None else y(top) + 34)
    lines.append(f'<circle cx="{left + 8}" cy="{line}" r="4" fill="{color}"/>')
    lines.append(f'<text class="note" x="{left + 24}" y="{line + 4}">simulated, ± standard error</text>')
    if curve is not None:
        lines.append(f'<line class="exact" x1="{left}" x2="{left + 16}" y1="{line + 18}" y2="{line + 18}"/>')
        lines.append(f'<text class="note" x="{left + 24}" y="{line + 22}">exact, infinite lattice</text>')
    return lines


STYLE = """
text { font-family: Helvetica, Arial, sans-serif; fill: #222; }
.title { font-size: 15px; font-weight: bold; text-anchor: middle; }
.label { font-size: 13px; text-anchor: middle; }
.tick { font-size: 11px; text-anchor: middle; }
.tick.left { text-anchor: end; }
.note { font-size: 11px; fill: #444; }
.grid { stroke: #e4e4e4; }
.frame { fill: none; stroke: #222; }
.critical { stroke: #888; stroke-dasharray: 4 4; }
.exact { fill: none; stroke: #888; stroke-width: 1.5; }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    with arguments.table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    seeds = len({row["seed"] for row in rows})
    magnetization = summarize(rows, "magnetization")
    energy = summarize(rows, "energy")
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" height="{HEIGHT}"'
            f' viewBox="0 0 {2 * WIDTH} {HEIGHT}">'
        ),
        f"<title>Two-dimensional Ising model, {seeds} seeds per temperature</title>",
        f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        *panel(0, "Magnetization", "|m| per spin", magnetization, (0.0, 1.05), 0.2, "#c0392b", onsager),
        *panel(WIDTH, "Energy", "energy per spin (J)", energy, (-2.1, -0.4), 0.4, "#1f5f99"),
        "</svg>",
    ]
    arguments.output.write_text("\n".join(lines) + "\n")
    print(f"{len(magnetization)} temperatures, {seeds} seeds")


if __name__ == "__main__":
    main()
