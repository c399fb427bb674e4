"""Least squares: a polynomial of a given degree for every set of points, with the points that it has not seen."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from upstream import outputs


def polynomial(points: list[list[float]], degree: int) -> list[float]:
    """The coefficients, lowest power first, by the normal equations and Gauss' elimination."""
    size = degree + 1
    rows = [
        [sum(x ** (i + j) for x, _ in points) for j in range(size)] + [sum(y * x**i for x, y in points)]
        for i in range(size)
    ]
    for i in range(size):
        pivot = max(range(i, size), key=lambda row: abs(rows[row][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for j in range(size):
            if j != i:
                factor = rows[j][i] / rows[i][i]
                rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i], strict=True)]
    return [rows[i][size] / rows[i][i] for i in range(size)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--degree", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    models = []
    for _, file in outputs(arguments.metadata, arguments.store, "split", "parts"):
        parts = json.loads(file.read_text())
        models.append({"coefficients": polynomial(parts["learn"], arguments.degree), "test": parts["test"]})
    print(f"degree {arguments.degree}: {len(models)} models")
    arguments.output.write_text(json.dumps(models))


if __name__ == "__main__":
    main()
