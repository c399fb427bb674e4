"""Labs made on the spot, in RepX's format, for tests that need one without Nix."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["JobSpec", "RunSpec", "job_id", "write_lab", "write_manifest"]

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


def job_id(name: str, seed: str = "") -> str:
    """A job id that looks like RepX's: 32 characters of nix-base32, then the job's name."""
    number = int.from_bytes(hashlib.sha256(f"{name}/{seed}".encode()).digest()[:20], "big")
    digits = []
    for _ in range(32):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return f"{''.join(digits)}-{name}"


@dataclass
class JobSpec:
    """One simple job: `script` is what its executable runs; `reads` maps an input to (producer's id, its output).

    `extra` replaces parts of its record in the metadata, `scripts` are those of further executables, by file name.
    """

    id: str
    script: str = "exit 0"
    params: dict[str, Any] = field(default_factory=dict)
    reads: dict[str, tuple[str, str]] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=lambda: {"data": "$out/data.txt"})
    hints: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.id.split("-", 1)[1]


@dataclass
class RunSpec:
    name: str
    jobs: list[JobSpec]
    dependencies: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


_PROLOGUE = """#!/usr/bin/env bash
set -euo pipefail
out=$1 inputs_json=$2 parameters_json=$3
mkdir -p "$out"
cd "$out"
export out inputs_json parameters_json
"""


def _job_record(job: JobSpec, inter_run: dict[str, str]) -> dict[str, Any]:
    inputs: list[dict[str, Any]] = [
        {"type": "intra-pipeline", "job_id": producer, "source_output": output, "target_input": target}
        for target, (producer, output) in job.reads.items()
    ]
    inputs += [
        {"type": "inter-run", "source_run": run, "dependency_type": kind, "target_input": f"metadata__{run}"}
        for run, kind in inter_run.items()
    ]
    if inter_run:
        inputs.append({"type": "global", "source_value": "store_base", "target_input": "store__base"})
    executable = {"path": f"jobs/{job.id}/bin/main", "inputs": inputs, "outputs": job.outputs}
    record = {"name": job.name, "stage_type": "simple", "params": job.params, "executables": {"main": executable}}
    if job.hints:
        record["resource_hints"] = job.hints
    return record | job.extra


def write_lab(
    path: Path,
    runs: list[RunSpec],
    *,
    groups: dict[str, list[str]] | None = None,
    git_hash: str = "0" * 40,
    lab_id: str | None = None,
) -> Path:
    """Write a whole lab directory (scripts, metadata, manifest with checksums) and return its path."""
    for folder in ("lab", "revision", "jobs"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    for run in runs:
        for job in run.jobs:
            for name, text in {"main": job.script, **job.scripts}.items():
                script = path / "jobs" / job.id / "bin" / name
                script.parent.mkdir(parents=True, exist_ok=True)
                script.write_text(_PROLOGUE + text + "\n")
                script.chmod(0o755)
        record = {
            "type": "run",
            "name": run.name,
            "gitHash": git_hash,
            "dependencies": {f"revision/metadata-{name}.json": kind for name, kind in run.dependencies.items()},
            "jobs": {job.id: _job_record(job, run.dependencies) for job in run.jobs},
        } | run.extra
        (path / f"revision/metadata-{run.name}.json").write_text(json.dumps(record))
    top: dict[str, Any] = {
        "repx_version": "0.5.0",
        "type": "root",
        "gitHash": git_hash,
        "runs": [f"revision/metadata-{run.name}.json" for run in runs],
    }
    if groups:
        top["groups"] = groups
    (path / "revision/metadata-top.json").write_text(json.dumps(top))
    write_manifest(path, lab_id=lab_id)
    return path


def write_manifest(path: Path, *, lab_id: str | None = None) -> None:
    """(Re)write the manifest of a lab directory, so that its checksums match what is there now."""
    files = [
        {"path": str(file.relative_to(path)), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.parent != path / "lab"
    ]
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:32]
    manifest = {
        "labId": lab_id or digest,
        "lab_version": "1.0.0",
        "metadata": "revision/metadata-top.json",
        "files": files,
    }
    (path / "lab/lab-metadata.json").write_text(json.dumps(manifest))
