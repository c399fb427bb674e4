"""`airflow repx debug-run`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from airflow_provider_repx.cli.debug_files import debug_files
from airflow_provider_repx.cli.debug_places import place_of
from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab
from airflow_provider_repx.cli.parts import FoundUnit, find_unit, name_of, work_items
from airflow_provider_repx.cli.there import machine_of
from airflow_provider_repx.errors import JobInputError, UnsupportedTargetError
from airflow_provider_repx.execution.store import JobPaths, JobStatus, OutputStore

__all__ = ["debug_run"]


@command
def debug_run(arguments: argparse.Namespace) -> int:
    """Open a shell, or run a command, as a job or a part of one would; the exit code is the shell's."""
    chosen = choose_lab(arguments)
    asked = find_unit(chosen.lab, arguments.job)
    target = chosen.target
    if target.execution_type != "native":
        raise UnsupportedTargetError(
            f"target {target.name}: debug-run works natively only, not with {target.execution_type}."
        )
    items = work_items(chosen.store, [asked.job_id]).get(asked.job_id) if asked.unit.part != "main" else None
    with place_of(target, chosen.lab) as place, place.scratch(arguments.directory) as folder:
        prepared = debug_files(
            chosen.lab,
            asked.found.run,
            asked.unit,
            chosen.store,
            folder,
            path=place.path,
            lab_root=place.lab_root,
            items=items,
        )
        _require_done(chosen.store, asked, prepared.needs)
        place.write(folder, prepared.files)
        if arguments.command is None:
            _explain(chosen, asked, folder, kept=arguments.directory is not None)
        return place.shell(folder, arguments.command)


def _require_done(store: OutputStore, asked: FoundUnit, needs: tuple[JobPaths, ...]) -> None:
    """Raise `JobInputError` unless everything is done that the script reads from."""
    statuses = store.folder_statuses(needs)
    missing = [
        f"{need.root.relative_to(store.outputs)} ({statuses[need]})"
        for need in needs
        if statuses[need] is not JobStatus.SUCCEEDED
    ]
    if missing:
        raise JobInputError(
            f"{name_of(asked.unit)}: what it reads from is not done: {', '.join(missing)}. Run that first."
        )


def _explain(chosen: ChosenLab, asked: FoundUnit, folder: Path, *, kept: bool) -> None:
    where = f", on {machine_of(chosen.target)}" if chosen.target.is_remote else ""
    print(
        f"Job {name_of(asked.unit)}{where}\n"
        f"  $out, the current folder:  {folder / 'out'}\n"
        "  ${inputs[NAME]}, ${parameters[NAME]}: as the script has them\n"
        "  run-job                    runs its script; it empties $out first, as ever\n"
        "  exit                       ends this shell" + ("" if kept else ", and removes $out"),
        file=sys.stderr,
        flush=True,
    )
