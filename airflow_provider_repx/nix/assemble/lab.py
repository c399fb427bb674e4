"""Writes a whole lab directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .blueprint import Lab, read_lab
from .files import LabFiles, compact
from .images import add_host_tools, add_image
from .jobs import Job, RunJobs, expand_lab
from .records import input_dependencies, root_record, run_metadata_path, run_record

__all__ = ["write_lab"]

_README = """# A RepX lab

Made by repx-lib from an experiment written in Nix. `revision/metadata-top.json` lists the runs, each run's own file
lists its jobs, and `jobs/<job>/bin` holds their scripts. `lab/lab-metadata.json` has a checksum of every file here.
"""


def write_lab(task: dict[str, Any], out: Path) -> None:
    """Write the lab that a blueprint describes to the directory `out`, whose name starts with the lab's id."""
    lab = read_lab(task)
    runs = expand_lab(lab)
    out.mkdir()
    files = LabFiles(out)
    images: dict[str, str] = {}
    for archive in sorted(set(lab.images.values())):
        images[archive] = add_image(files, archive)
    add_host_tools(files, lab.host_tools)
    files.write("readme/README.md", _README.encode())
    written: dict[str, None] = {}
    for run in runs.values():
        image = images.get(lab.images.get(run.run.name, ""))
        if run.run.name in lab.chosen or _is_read_by_chosen(lab, runs, run):
            files.write(run_metadata_path(run.run.name), compact(run_record(lab, run, image)))
        if run.run.name in lab.chosen:
            for job in run.jobs.values():
                if job.id not in written:
                    written[job.id] = None
                    _write_job(files, job)
    paths = sorted({path for run in lab.runs if run.name in lab.chosen for path in run.paths})
    if paths:
        # Nix keeps what a lab's files mention for as long as the lab.
        files.write("readme/parameters-dependencies.txt", "\n".join(paths).encode())
    files.write("revision/metadata-top.json", compact(root_record(lab)))
    manifest = {
        "labId": out.name.split("-", 1)[0],
        "lab_version": lab.lab_version,
        "metadata": "revision/metadata-top.json",
        "files": files.entries(),
    }
    files.write("lab/lab-metadata.json", compact(manifest))


def _is_read_by_chosen(lab: Lab, runs: dict[str, RunJobs], run: RunJobs) -> bool:
    """Whether jobs of a chosen run are given this run's metadata: a slice brings that file along."""
    return any(one.run == run.run.name for name in lab.chosen for one in runs[name].run.dependencies)


def _write_job(files: LabFiles, job: Job) -> None:
    for executable in job.shape.executables:
        script = job.scripts[executable.key]
        files.write(f"jobs/{job.id}/bin/{job.script_name(executable)}", script.content, executable=True)
    files.write(f"jobs/{job.id}/{job.pname}-parameters.json", compact(job.parameters))
    files.write(f"jobs/{job.id}/nix-input-dependencies.json", compact(input_dependencies(job)))
