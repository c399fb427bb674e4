"""Labs for the tests of this folder: small sound ones, and ways to break them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_provider_repx.lab import JobId
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab, write_manifest

PRODUCER = JobId(job_id("producer-1.1"))
CONSUMER = JobId(job_id("consumer-1.1"))
REPORT = JobId(job_id("report-1.1"))
SPLIT = JobId(job_id("split-1.1"))

SIM_FILE = "revision/metadata-sim.json"
PLOT_FILE = "revision/metadata-plot.json"


def two_runs(path: Path) -> Path:
    """`sim`: producer -> consumer; `plot`: report, which depends softly on `sim`."""
    sim = RunSpec(
        "sim",
        [
            JobSpec(PRODUCER, params={"seed": 1, "rate": 0.5, "fast": True, "note": None}),
            JobSpec(CONSUMER, reads={"data": (PRODUCER, "data")}, hints={"mem": "1G", "cpus": 2}),
        ],
    )
    plot = RunSpec("plot", [JobSpec(REPORT)], dependencies={"sim": "soft"})
    return write_lab(path, [sim, plot], groups={"all": ["plot", "sim"], "compute": ["sim"]})


def edit(lab: Path, relative: str, change: Callable[[Any], None]) -> Path:
    """Change a JSON file of a lab in place and let the manifest vouch for the result."""
    record = json.loads((lab / relative).read_text())
    change(record)
    (lab / relative).write_text(json.dumps(record))
    write_manifest(lab)
    return lab


def edit_job(lab: Path, job: str, change: Callable[[Any], None], relative: str = SIM_FILE) -> Path:
    return edit(lab, relative, lambda record: change(record["jobs"][job]))


def step(name: str, *, deps: tuple[str, ...] = (), outputs: tuple[str, ...] = ("result",)) -> dict[str, Any]:
    """A step that reads the work item, and the first output of each step that it depends on."""
    inputs: list[dict[str, Any]] = [{"source": "scatter:work_item", "target_input": "worker__item"}]
    inputs += [{"source": f"step:{dep}", "source_output": "result", "target_input": dep} for dep in deps]
    return {
        "path": f"jobs/{SPLIT}/bin/main",
        "inputs": inputs,
        "outputs": {output: f"$out/{output}" for output in outputs},
        "deps": list(deps),
    }


def scatter_gather_lab(path: Path, steps: dict[str, dict[str, Any]] | None = None) -> Path:
    """A run `sim` of one scatter-gather job: extract -> (double, square) -> combine, unless `steps` says otherwise."""
    if steps is None:
        steps = {
            "combine": step("combine", deps=("square", "double")),
            "double": step("double", deps=("extract",)),
            "extract": step("extract"),
            "square": step("square", deps=("extract",)),
        }
    gather_inputs = [
        {"source": "runner:worker_outputs", "source_key": "result", "target_input": "worker__outs"},
        {"job_id": "self", "source_output": "work__items", "target_input": "items"},
    ]
    executables = {
        "scatter": {
            "path": f"jobs/{SPLIT}/bin/main",
            "inputs": [],
            "outputs": {"work__items": "$out/work_items.json", "worker__arg": {"startIndex": 0}},
        },
        "gather": {"path": f"jobs/{SPLIT}/bin/main", "inputs": gather_inputs, "outputs": {"sums": "$out/sums.txt"}},
    } | {f"step-{name}": executable for name, executable in steps.items()}
    extra = {"stage_type": "scatter-gather", "executables": executables}
    return write_lab(path, [RunSpec("sim", [JobSpec(SPLIT, extra=extra)])])
