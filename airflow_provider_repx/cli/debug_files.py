"""What a part of a job is given when its script is run by hand: files in a scratch folder, and a shell's settings.

The same as in a real execution, except that results go to the scratch folder.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_repx.cli.parts import name_of
from airflow_provider_repx.errors import CommandLineError, JobInputError
from airflow_provider_repx.execution.units import Unit, WorkItem, prepare_unit
from airflow_provider_repx.execution.units.inputs import InputResolver

if TYPE_CHECKING:
    from airflow_provider_repx.execution.store import JobPaths, OutputStore
    from airflow_provider_repx.lab import Lab, Run, Scalar

__all__ = ["SETUP", "DebugFiles", "debug_files"]

SETUP = "setup.bash"
"""The file that the shell reads first."""

_INPUTS, _PARAMETERS, _ITEM, _MANIFEST = "inputs.json", "parameters.json", "work_item.json", "worker_outs_manifest.json"

_BASH = """# Read by the shell of `airflow repx debug-run`.
[[ -f ~/.bashrc && $- == *i* ]] && . ~/.bashrc
export {path}
export out={out} inputs_json={inputs_json} parameters_json={parameters_json}
declare -A inputs=({inputs})
declare -A parameters=({parameters})
run-job() {{ {script} "$out" "$inputs_json" "$parameters_json"; }}
[[ $- == *i* ]] && PS1='repx {short}$ '
mkdir -p -- "$out"
cd -- "$out"
"""


@dataclass(frozen=True)
class DebugFiles:
    """The files of a scratch folder by name, and the folders of jobs and parts that have to be done before."""

    files: Mapping[str, bytes]
    needs: tuple[JobPaths, ...]


def debug_files(
    lab: Lab,
    run: Run,
    unit: Unit,
    store: OutputStore,
    folder: Path,
    *,
    path: str,
    lab_root: Path | None = None,
    items: Sequence[WorkItem] | None = None,
) -> DebugFiles:
    """Make up the files of the scratch folder `folder`, for the machine that has the lab at `lab_root`.

    `path` is what the job's ``PATH`` is, as the right side of an assignment in bash; `items` are the work items of a
    scatter-gather job whose scatter is done.

    Raises `CommandLineError` for a branch that there is not, and as `prepare_unit` does.
    """
    item = _item(unit, items)
    prepared = prepare_unit(lab, run, unit, store, lab_root=lab_root, branches=None if items is None else len(items))
    files: dict[str, bytes] = {}
    if unit.part == "gather":
        resolver = InputResolver(lab, run, unit.job_id, store, lab_root)
        inputs = resolver.of("scatter") | resolver.of("gather", manifest=folder / _MANIFEST)
        files[_MANIFEST] = prepared.files[store.job(unit.job_id).repx / _MANIFEST]
    else:
        inputs = json.loads(prepared.files[prepared.inputs])
    if item is not None:
        files[_ITEM] = item.content
        stored = str(store.job(unit.job_id).work_item(item.index))
        inputs = {name: str(folder / _ITEM) if value == stored else value for name, value in inputs.items()}
    parameters = dict(run.jobs[unit.job_id].params)
    setup = _BASH.format(
        path=f"PATH={path}" if path else "PATH",
        out=shlex.quote(str(folder / "out")),
        inputs_json=shlex.quote(str(folder / _INPUTS)),
        parameters_json=shlex.quote(str(folder / _PARAMETERS)),
        inputs=_array(inputs),
        parameters=_array(parameters),
        script=shlex.quote(str(prepared.executable)),
        short=unit.job_id[:8],
    )
    files |= {_INPUTS: _json(inputs), _PARAMETERS: _json(parameters), SETUP: setup.encode("utf-8", "surrogateescape")}
    return DebugFiles(files, prepared.needs)


def _item(unit: Unit, items: Sequence[WorkItem] | None) -> WorkItem | None:
    """The work item of a step; `None` for other parts."""
    if unit.part == "step" and items is None:
        raise JobInputError(
            f"{name_of(unit)}: its scatter has left no work items yet, so there are no branches. Run the job first, or"
            f" look at {unit.job_id}/scatter."
        )
    if unit.part != "step" or items is None:
        return None
    branch = unit.branch or 0
    if branch >= len(items):
        found = f"branch-0 to branch-{len(items) - 1}" if items else "none"
        raise CommandLineError(f"{name_of(unit)}: there is no such branch. The scatter has made: {found}.")
    return items[branch]


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _array(values: Mapping[str, Scalar]) -> str:
    """The elements of a bash array, as the prologue of a job's script makes them from the same JSON."""
    return " ".join(f"[{shlex.quote(name)}]={shlex.quote(_text(value))}" for name, value in values.items())


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)
