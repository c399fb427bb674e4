"""Outputs of another run, found by the metadata that RepX hands to the runs that depend on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path


def outputs(metadata: Path, store: Path, stage: str, output: str) -> Iterator[tuple[dict[str, object], Path]]:
    """The parameters and the file of every job of a stage, in the order of their ids."""
    jobs = json.loads(metadata.read_text())["jobs"]
    for job, record in sorted(jobs.items()):
        if record["name"].rpartition("-")[0] == stage:
            template = record["executables"]["main"]["outputs"][output]
            yield record["params"], Path(template.replace("$out", str(store / "outputs" / job / "out")))
