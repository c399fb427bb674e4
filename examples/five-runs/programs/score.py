"""The mean squared error of each model, as a table."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from upstream import outputs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    rows = []
    for parameters, file in outputs(arguments.metadata, arguments.store, "fit", "model"):
        errors = [
            (sum(c * x**power for power, c in enumerate(model["coefficients"])) - y) ** 2
            for model in json.loads(file.read_text())
            for x, y in model["test"]
        ]
        rows.append((parameters["degree"], round(sum(errors) / len(errors), 4)))
    with arguments.output.open("w", newline="") as table:
        csv.writer(table).writerows([("degree", "error"), *sorted(rows)])


if __name__ == "__main__":
    main()
