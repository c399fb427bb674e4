"""Runs an evaluated lab one job after another as RepX's runner would, for tests of what its scripts do."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["LabRunner"]


@dataclass
class LabRunner:
    """Runs jobs of the lab at `lab` with outputs below `base`; `done` holds the ids of jobs that succeeded."""

    lab: Path
    base: Path
    timeout: float = 60.0
    done: list[str] = field(default_factory=list)

    def metadata(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.lab / f"revision/metadata-{run}.json").read_text())
        return found

    def run(self, name: str) -> None:
        """Run all jobs of a run, in the order of its metadata, which has producers first."""
        metadata = self.metadata(name)
        for job in metadata["jobs"]:
            self.job(metadata, job)

    def job(self, metadata: dict[str, Any], job: str) -> subprocess.CompletedProcess[str]:
        record = metadata["jobs"][job]
        folder = self.base / "outputs" / job
        if record["stage_type"] == "simple":
            inputs = self._inputs(metadata, record["executables"]["main"])
            finished = self._execute(record, "main", folder / "out", folder / "repx", inputs)
        else:
            finished = self._scatter_gather(metadata, record, folder)
        self.done.append(job)
        return finished

    def _scatter_gather(
        self, metadata: dict[str, Any], record: dict[str, Any], folder: Path
    ) -> subprocess.CompletedProcess[str]:
        inputs = self._inputs(metadata, record["executables"]["scatter"])
        self._execute(record, "scatter", folder / "scatter/out", folder / "scatter/repx", inputs)
        items = json.loads((folder / "scatter/out/work_items.json").read_text())
        steps = {
            key.removeprefix("step-"): one for key, one in record["executables"].items() if key.startswith("step-")
        }
        sink = next(name for name in steps if not any(name in other.get("deps", []) for other in steps.values()))
        collected = []
        for number, item in enumerate(items):
            branch = folder / f"branch-{number}"
            (branch / "repx").mkdir(parents=True, exist_ok=True)
            (branch / "repx/work_item.json").write_text(json.dumps(item))
            finished_steps: list[str] = []
            while len(finished_steps) < len(steps):
                for name, step in steps.items():
                    if name not in finished_steps and all(dep in finished_steps for dep in step.get("deps", [])):
                        self._step(record, name, branch, steps, inputs)
                        finished_steps.append(name)
            collected.append(
                {
                    output: template.replace("$out", str(branch / f"step-{sink}/out"))
                    for output, template in steps[sink]["outputs"].items()
                }
            )
        (folder / "repx").mkdir(parents=True, exist_ok=True)
        manifest = folder / "repx/worker_outs_manifest.json"
        manifest.write_text(json.dumps(collected))
        gather_inputs = {**inputs, "worker__outs": str(manifest)}
        for mapping in record["executables"]["gather"]["inputs"]:
            if mapping.get("job_id") == "self":
                template = record["executables"]["scatter"]["outputs"][mapping["source_output"]]
                gather_inputs[mapping["target_input"]] = template.replace("$out", str(folder / "scatter/out"))
        return self._execute(record, "gather", folder / "out", folder / "repx", gather_inputs)

    def _step(
        self, record: dict[str, Any], name: str, branch: Path, steps: dict[str, Any], job_inputs: dict[str, str]
    ) -> None:
        inputs = {}
        for mapping in steps[name]["inputs"]:
            source, target = mapping.get("source", ""), mapping["target_input"]
            if source == "scatter:work_item":
                inputs[target] = str(branch / "repx/work_item.json")
            elif source.startswith("step:"):
                producer = source.removeprefix("step:")
                template = steps[producer]["outputs"][mapping["source_output"]]
                inputs[target] = template.replace("$out", str(branch / f"step-{producer}/out"))
            else:
                inputs[target] = job_inputs[target]
        folder = branch / f"step-{name}"
        self._execute(record, f"step-{name}", folder / "out", folder / "repx", inputs)

    def _inputs(self, metadata: dict[str, Any], executable: dict[str, Any]) -> dict[str, str]:
        found = {}
        for mapping in executable["inputs"]:
            target = mapping["target_input"]
            if mapping["type"] == "intra-pipeline":
                producer = metadata["jobs"][mapping["job_id"]]["executables"]
                template = producer.get("gather", producer.get("main"))["outputs"][mapping["source_output"]]
                found[target] = template.replace("$out", str(self.base / "outputs" / mapping["job_id"] / "out"))
            elif mapping["type"] == "inter-run":
                found[target] = str(self.lab / f"revision/metadata-{mapping['source_run']}.json")
            else:
                found[target] = str(self.base)
        return found

    def _execute(
        self, record: dict[str, Any], key: str, out: Path, repx: Path, inputs: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        out.mkdir(parents=True, exist_ok=True)
        repx.mkdir(parents=True, exist_ok=True)
        (repx / "inputs.json").write_text(json.dumps(inputs, indent=2))
        (repx / "parameters.json").write_text(json.dumps(record["params"], indent=2))
        script = self.lab / record["executables"][key]["path"]
        return subprocess.run(
            [str(script), str(out), str(repx / "inputs.json"), str(repx / "parameters.json")],
            capture_output=True,
            text=True,
            timeout=self.timeout,
            check=True,
        )
