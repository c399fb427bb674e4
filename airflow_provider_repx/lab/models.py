"""The evaluated lab as data: one frozen model per kind of record in a lab's JSON files.

The format is RepX's (0.3 to 0.5); fields that this package's own Nix library adds are optional and say so.
Unknown fields are ignored, as RepX's own readers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NewType, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

__all__ = [
    "DependencyKind",
    "Executable",
    "FileEntry",
    "InputMapping",
    "Job",
    "JobId",
    "LabReference",
    "Manifest",
    "ResourceHints",
    "RootMetadata",
    "Run",
    "RunDependency",
    "RunMetadata",
    "Scalar",
]

JobId = NewType("JobId", str)
"""``<32 characters of nix-base32>-<pname>-<version>``: a job's name in its lab and its directory in every store."""

Scalar: TypeAlias = StrictBool | StrictInt | StrictFloat | StrictStr | None
"""What a parameter may be. A list or an object would never reach the job's bash array, so it is refused."""

DependencyKind: TypeAlias = Literal["hard", "soft"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False)


class FileEntry(_Record):
    """One file that the manifest vouches for."""

    path: StrictStr
    sha256: StrictStr = Field(pattern="^[0-9a-f]{64}$")


class Manifest(_Record):
    """``lab/*lab-metadata.json``."""

    lab_id: StrictStr = Field(alias="labId", min_length=1)
    lab_version: StrictStr
    metadata: StrictStr
    files: tuple[FileEntry, ...]


class RootMetadata(_Record):
    """``revision/*metadata-top.json``; `runs` are paths within the lab, upstream runs first."""

    repx_version: StrictStr
    type: Literal["root"]
    git_hash: StrictStr = Field(alias="gitHash")
    runs: tuple[StrictStr, ...]
    groups: Mapping[StrictStr, tuple[StrictStr, ...]] = {}


class ResourceHints(_Record):
    """What a job or executable says it needs; `None` means that it says nothing.

    `mem` and `time` are kept as written (``"4G"``, ``"02:00:00"``); `units` reads them.
    """

    mem: StrictStr | None = None
    cpus: StrictInt | None = Field(default=None, ge=1)
    time: StrictStr | None = None
    partition: StrictStr | None = None
    sbatch_opts: tuple[StrictStr, ...] | None = None


class InputMapping(_Record):
    """Where one input of an executable comes from; the fields in use depend on the kind of input."""

    target_input: StrictStr
    type: Literal["intra-pipeline", "inter-run", "global"] | None = None
    job_id: StrictStr | None = None
    source_output: StrictStr | None = None
    source_run: StrictStr | None = None
    dependency_type: DependencyKind | None = None
    source_value: StrictStr | None = None
    source: StrictStr | None = None
    source_key: StrictStr | None = None


class Executable(_Record):
    """One script of a job: `main`, or `scatter`, `step-<name>`, `gather`.

    `path` is relative to the lab. `outputs` maps a name to a template holding ``$out`` (`worker__arg` of a scatter: an
    object). `deps` names steps.
    """

    path: StrictStr
    inputs: tuple[InputMapping, ...]
    outputs: Mapping[StrictStr, StrictStr | Mapping[StrictStr, Any]]
    resource_hints: ResourceHints | None = None
    deps: tuple[StrictStr, ...] = ()


class Job(_Record):
    """One job of a run. `stage`, `pipeline` and `axes` are written by this package's own Nix library only.

    `axes` is the point of the sweep that this job stands for: the value of each axis that its stage, or a stage
    upstream of it, declares.
    """

    name: StrictStr
    stage_type: Literal["simple", "scatter-gather"]
    params: Mapping[StrictStr, Scalar]
    executables: Mapping[StrictStr, Executable]
    resource_hints: ResourceHints = ResourceHints()
    stage: StrictStr | None = None
    pipeline: StrictStr | None = None
    axes: Mapping[StrictStr, Scalar] | None = None

    @cached_property
    def output_executable(self) -> Executable:
        """The executable whose outputs are the job's outputs: `main`, or `gather` of a scatter-gather job."""
        return self.executables["gather" if self.stage_type == "scatter-gather" else "main"]

    @cached_property
    def producers(self) -> tuple[JobId, ...]:
        """The jobs that this job reads from, each once, in the order of its inputs."""
        found = {
            JobId(mapping.job_id): None
            for executable in self.executables.values()
            for mapping in executable.inputs
            if mapping.job_id is not None and mapping.job_id != "self"
        }
        return tuple(found)


class RunMetadata(_Record):
    """``revision/*metadata-<run>.json``; `dependencies` maps an upstream run's metadata path to its kind."""

    type: Literal["run"]
    name: StrictStr = Field(min_length=1)
    git_hash: StrictStr = Field(alias="gitHash")
    dependencies: Mapping[StrictStr, DependencyKind] = {}
    image: StrictStr | None = None
    jobs: Mapping[JobId, Job]


@dataclass(frozen=True)
class RunDependency:
    """A run that another run depends on."""

    run: str
    kind: DependencyKind


@dataclass(frozen=True)
class Run:
    """One run of a lab. `metadata` is its metadata file's path within the lab."""

    name: str
    metadata: str
    git_hash: str
    dependencies: tuple[RunDependency, ...]
    image: str | None
    jobs: Mapping[JobId, Job]


@dataclass(frozen=True)
class LabReference:
    """Which lab, exactly: the name it is configured under, the real path of its directory, and its id.

    Small enough to travel with every task. A rebuild of the lab keeps `name` and changes the other two.
    """

    name: str
    path: Path
    lab_id: str
