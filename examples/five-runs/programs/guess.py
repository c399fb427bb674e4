"""The mean squared error of a guess: always the mean of the points that are there to learn from."""

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
    errors = []
    for _, file in outputs(arguments.metadata, arguments.store, "split", "parts"):
        parts = json.loads(file.read_text())
        mean = sum(y for _, y in parts["learn"]) / len(parts["learn"])
        errors += [(mean - y) ** 2 for _, y in parts["test"]]
    with arguments.output.open("w", newline="") as table:
        csv.writer(table).writerows([("model", "error"), ("mean", round(sum(errors) / len(errors), 4))])


if __name__ == "__main__":
    main()
