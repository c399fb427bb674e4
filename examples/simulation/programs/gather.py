"""Collects the results of another run: its metadata lists the jobs, the output store has their files."""

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def outputs_of(metadata: dict[str, Any], stage: str, output: str, store: Path) -> Iterator[Path]:
    """The path of one output of every job of a stage."""
    for job, record in metadata["jobs"].items():
        if record["stage"] == stage:
            template = record["executables"]["main"]["outputs"][output]
            yield Path(template.replace("$out", str(store / "outputs" / job / "out")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metadata", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--lattices", type=Path, required=True)
    arguments = parser.parse_args()
    metadata = json.loads(arguments.metadata.read_text())

    paths = outputs_of(metadata, "measure", "measurement", arguments.store)
    rows = sorted((json.loads(path.read_text()) for path in paths), key=lambda row: (row["temperature"], row["seed"]))
    with arguments.table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

    lattices: dict[float, dict[str, Any]] = {}
    for job, record in metadata["jobs"].items():
        if record["stage"] == "simulate" and record["params"]["temperature"] not in lattices:
            template = record["executables"]["main"]["outputs"]["final"]
            lattice = Path(template.replace("$out", str(arguments.store / "outputs" / job / "out")))
            lattices[record["params"]["temperature"]] = {
                "label": record["params"]["label"],
                "rows": lattice.read_text().split(),
            }
    shown = [{"temperature": temperature, **lattices[temperature]} for temperature in sorted(lattices)]
    arguments.lattices.write_text(json.dumps(shown))
    print(f"{len(rows)} measurements, {len(shown)} lattices")


if __name__ == "__main__":
    main()
