"""`airflow repx debug-run`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.find import FoundJob, find_job
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab
from airflow_provider_repx.errors import CommandLineError, JobInputError, StoreError, UnsupportedTargetError
from airflow_provider_repx.execution.jobs.environment import job_environment
from airflow_provider_repx.execution.units.inputs import InputResolver
from airflow_provider_repx.lab import Scalar

__all__ = ["debug_run"]

_SETUP = "setup.bash"

_BASH = """# Read by the shell of `airflow repx debug-run`.
[[ -f ~/.bashrc && $- == *i* ]] && . ~/.bashrc
export PATH={path}
export out={out} inputs_json={inputs_json} parameters_json={parameters_json}
declare -A inputs=({inputs})
declare -A parameters=({parameters})
run-job() {{ {script} "$out" "$inputs_json" "$parameters_json"; }}
[[ $- == *i* ]] && PS1='repx {short}$ '
cd -- "$out"
"""


@dataclass(frozen=True)
class _Scratch:
    """A folder with what a job's script is given."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def inputs(self) -> Path:
        return self.folder / "inputs.json"

    @property
    def parameters(self) -> Path:
        return self.folder / "parameters.json"

    @property
    def setup(self) -> Path:
        return self.folder / _SETUP


@command
def debug_run(arguments: argparse.Namespace) -> int:
    """Open a shell, or run a command, as a job would; the exit code is the shell's."""
    chosen = choose_lab(arguments)
    found = find_job(chosen.lab, arguments.job)
    _require_native(chosen, found)
    with _scratch(arguments.directory) as scratch:
        environment = _prepare(chosen, found, scratch)
        if arguments.command is None:
            print(
                f"Job {found.job_id}\n"
                f"  $out, the current folder:  {scratch.out}\n"
                "  ${inputs[NAME]}, ${parameters[NAME]}: as the script has them\n"
                "  run-job                    runs its script; it empties $out first, as ever\n"
                "  exit                       ends this shell" + ("" if arguments.directory else ", and removes $out"),
                file=sys.stderr,
            )
            shell = ["bash", "--rcfile", str(scratch.setup), "-i"]
        else:
            # The line is the user's own, for the user's own shell.
            shell = ["bash", "-c", f". {shlex.quote(str(scratch.setup))}\n{arguments.command}"]
        # Nobody knows how long a person stays in a shell, so there is no timeout.
        return subprocess.run(shell, env=environment, cwd=scratch.folder, check=False).returncode


def _require_native(chosen: ChosenLab, found: FoundJob) -> None:
    if found.job.stage_type != "simple":
        raise UnsupportedTargetError(
            f"{found.job_id}: a scatter-gather job has several scripts, which cannot be run by hand here. Their inputs"
            f" are in inputs.json files below {chosen.visible_store.job(found.job_id).root}."
        )
    if chosen.target.execution_type != "native":
        raise UnsupportedTargetError(
            f"target {chosen.target.name}: debug-run works natively only, not with {chosen.target.execution_type}."
        )


@contextmanager
def _scratch(directory: str | None) -> Iterator[_Scratch]:
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="repx-debug-", ignore_cleanup_errors=True) as temporary:
            yield _Scratch(Path(temporary))
        return
    folder = Path(directory).expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandLineError(f"--directory {folder}: is there already and not empty. Choose another one.")
    folder.mkdir(parents=True, exist_ok=True)
    yield _Scratch(folder)


def _prepare(chosen: ChosenLab, found: FoundJob, scratch: _Scratch) -> Mapping[str, str]:
    """Write the files of the scratch folder and return the environment of the shell."""
    lab, job = chosen.lab, found.job
    script = lab.file(job.executables["main"].path)
    missing = sorted(set(job.producers) - chosen.visible_store.succeeded(job.producers))
    if missing:
        raise JobInputError(
            f"{found.job_id}: jobs that it reads from are not done: {', '.join(missing)}. Run them first."
        )
    inputs = InputResolver(lab, found.run, found.job_id, chosen.visible_store, None).of("main")
    values = dict(job.params)
    environment = job_environment(os.environ, lab=lab.path, token="debug-run")  # noqa: S106 - marks processes
    try:
        scratch.out.mkdir()
        scratch.inputs.write_text(json.dumps(inputs, indent=2, ensure_ascii=False), encoding="utf-8")
        scratch.parameters.write_text(json.dumps(values, indent=2, ensure_ascii=False), encoding="utf-8")
        setup = _BASH.format(
            path=shlex.quote(environment.get("PATH", "")),
            out=shlex.quote(str(scratch.out)),
            inputs_json=shlex.quote(str(scratch.inputs)),
            parameters_json=shlex.quote(str(scratch.parameters)),
            inputs=_array(inputs),
            parameters=_array(values),
            script=shlex.quote(str(script)),
            short=found.job_id[:8],
        )
        scratch.setup.write_text(setup, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{scratch.folder}: the scratch folder cannot be written: {error}") from error
    return environment


def _array(values: Mapping[str, Scalar]) -> str:
    """The elements of a bash array, as the prologue of a job's script makes them from the same JSON."""
    return " ".join(f"[{shlex.quote(name)}]={shlex.quote(_text(value))}" for name, value in values.items())


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)
