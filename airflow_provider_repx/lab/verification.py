"""Checking a whole lab, as RepX's own tools do whenever they open one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_repx.errors import LabFormatError, LabIntegrityError
from airflow_provider_repx.lab.graph import find_order
from airflow_provider_repx.lab.integrity import confined
from airflow_provider_repx.lab.models import FileEntry

if TYPE_CHECKING:
    from airflow_provider_repx.lab.lab import Lab
    from airflow_provider_repx.lab.source import LabSource

__all__ = ["verify_lab"]

_PROBLEMS_SHOWN = 10


def verify_lab(
    lab: Lab, source: LabSource, files: Sequence[FileEntry], progress: Callable[[int, int], None] | None
) -> int:
    """Do what `Lab.verify` promises."""
    problems: list[str] = []
    known: dict[object, str] = {}
    for count, entry in enumerate(files, start=1):
        try:
            found = source.digest(confined(entry.path, source.shown(source.manifest)), known)
        except LabIntegrityError as error:
            problems.append(str(error))
        else:
            if found != entry.sha256:
                problems.append(
                    f"{source.shown(entry.path)}: its content is not what the lab's manifest promises (SHA-256 {found} "
                    f"instead of {entry.sha256})"
                )
        if progress is not None:
            progress(count, len(files))
    if not problems:
        problems = _missing_folders(lab, source)
    if problems:
        shown = problems[:_PROBLEMS_SHOWN]
        if len(problems) > len(shown):
            shown.append(f"... and {len(problems) - len(shown)} more files")
        raise LabIntegrityError("\n".join(shown))
    _refuse_circle(lab)
    return len(files)


def _missing_folders(lab: Lab, source: LabSource) -> list[str]:
    """Images and job directories that runs name and that are not there; every run is read for it."""
    wanted: dict[str, None] = {"jobs": None}
    for name in lab.run_names:
        run = lab.run(name)
        if run.image is not None:
            wanted[run.image] = None
        for job_id, job in run.jobs.items():
            wanted[f"jobs/{job_id}"] = None
            for executable in job.executables.values():
                wanted[executable.path] = None
    return [problem for relative in wanted if (problem := _missing(source, relative)) is not None]


def _missing(source: LabSource, relative: str) -> str | None:
    try:
        source.locate(relative)
    except LabIntegrityError as error:
        return str(error)
    return None


def _refuse_circle(lab: Lab) -> None:
    _, circle = find_order(lab.run_names, lambda name: [dependency.run for dependency in lab.run(name).dependencies])
    if circle:
        path = " <- ".join((*circle, circle[0]))
        raise LabFormatError(f"{lab.path}: runs depend on each other in a circle: {path}")
