"""The scripts that run on a target, and the batch script of an array."""

from __future__ import annotations

import hashlib
import io
import shlex
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from airflow_provider_repx.execution.jobs.shipping import runner_script
from airflow_provider_repx.execution.slurm.directives import Directives
from airflow_provider_repx.execution.slurm.settings import SlurmSettings

__all__ = ["ArrayElement", "Shipment", "array_index", "batch_script", "pack", "target_script"]


@cache
def target_script() -> str:
    """What is run on the target for each question about files."""
    return (files("airflow_provider_repx.execution.slurm") / "target.sh").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Shipment:
    """What nodes run, kept in each store once per version."""

    @property
    def folder(self) -> str:
        """Where it lies, below the base path: named after the SHA-256 of its content, so versions do not meet."""
        return f"repx/slurm/bin/{hashlib.sha256(_task_script() + runner_script()).hexdigest()[:32]}"

    def pack(self) -> bytes:
        """Its files as a tar."""
        return pack({"task": _task_script(), "job-runner": runner_script()}, mode=0o555)


@cache
def _task_script() -> bytes:
    return (files("airflow_provider_repx.execution.slurm") / "task.sh").read_bytes()


def batch_script(settings: SlurmSettings, folder: Path, name: str, directives: Directives) -> bytes:
    """The script that Slurm is given for an array; its elements differ by the index alone.

    Its interpreter is `sh`, which every node has in the same place; `bash` is found on PATH. It says nothing itself:
    the job's logs and what this package's scripts have to say go to files of theirs.
    """
    own = [
        "#SBATCH --chdir=/",
        "#SBATCH --error=/dev/null",
        "#SBATCH --export=ALL",
        "#SBATCH --input=/dev/null",
        f"#SBATCH --job-name={name}",
        "#SBATCH --kill-on-invalid-dep=yes",
        "#SBATCH --no-requeue",
        "#SBATCH --open-mode=append",
        "#SBATCH --output=/dev/null",
    ]
    programs = settings.base_path / Shipment().folder
    command = [
        "bash",
        programs / "task",
        folder,
        programs / "job-runner",
        f"{settings.grace:.0f}",
        settings.umask or "",
    ]
    line = " ".join(shlex.quote(str(word)) for word in command)
    lines = ["#!/bin/sh", *sorted({*own, *directives.lines()}), f"exec {line}", ""]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class ArrayElement:
    """What the task script has to know of one element; see ``task.sh``."""

    token: str
    root: Path
    inputs: Path
    parameters: Path
    executable: Path
    execution_type: str
    claim: Path
    tools: str

    def fields(self) -> tuple[str, ...]:
        """In the order of the script."""
        return (
            self.token,
            str(self.root),
            str(self.inputs),
            str(self.parameters),
            str(self.executable),
            self.execution_type,
            str(self.claim),
            self.tools,
        )


def array_index(elements: Iterable[ArrayElement]) -> bytes:
    """The index file of an array: eight fields per element, each ended by a NUL byte, in the order of the elements."""
    return b"".join(_field(field) for element in elements for field in element.fields())


def _field(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\0"


def pack(content: Mapping[str, bytes], *, mode: int = 0o666) -> bytes:
    """A tar of files by their relative paths; folders come into being with the target's own permissions."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = mode
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
