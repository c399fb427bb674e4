"""All that a scheduler needs to know to start a unit, on this machine or on another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.units.unit import Unit

__all__ = ["PreparedUnit"]


@dataclass(frozen=True)
class PreparedUnit:
    """A unit whose files are known; nothing is written yet, and every path is one of the target's.

    Attributes:
        unit: What is to be run.
        paths: Its folder: results, logs, markers, claim.
        executable: The script.
        inputs: The JSON file that the script reads its inputs from.
        parameters: The JSON file that the script reads its parameters from.
        files: What has to be written before it starts, content by path, at every attempt and also where nothing has
            changed: the time when `inputs` was written tells what a step was made from. `inputs` and `parameters` are
            among them unless an earlier unit of the job has written them. Their folders may not exist yet.
        needs: Folders of units that must have succeeded before: their marker says so.
        made_from: Files that, where they are newer than `inputs`, say that a success was made from something that is
            not there any more: it does not count.
        outdates: Folders of units whose results are made from this one's. Whoever is about to start it removes their
            markers first, under its claim, so that nothing made from older results counts as done. A job among them
            that was done gets a record in the completion log that says it is not any more.
        fails: Folders of units that count as failed when this one does: they get the marker ``FAIL`` too, as RepX does
            for a job whose scatter failed.

    """

    unit: Unit
    paths: JobPaths
    executable: Path
    inputs: Path
    parameters: Path
    files: Mapping[Path, bytes] = field(default_factory=dict)
    needs: tuple[JobPaths, ...] = ()
    made_from: tuple[Path, ...] = ()
    outdates: tuple[JobPaths, ...] = ()
    fails: tuple[JobPaths, ...] = ()
