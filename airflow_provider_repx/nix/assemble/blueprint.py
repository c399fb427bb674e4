"""What Nix found out about a lab, as read from its JSON file: the input of everything here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .scripts import compose
from .varied import Varied, varied

__all__ = [
    "Axis",
    "Case",
    "Executable",
    "Lab",
    "Pipeline",
    "Run",
    "RunDependency",
    "Script",
    "Shape",
    "Stage",
    "read_lab",
]

if TYPE_CHECKING:
    Scalar = bool | int | float | str | None


@dataclass(frozen=True)
class Script:
    """One script: its stage's text, and a digest of that part of it which results depend on."""

    shebang: str
    path: tuple[str, ...]
    text: str
    defaults: dict[str, str]
    digest: str

    @cached_property
    def content(self) -> bytes:
        """The whole file."""
        return compose(self.shebang, self.path, self.text, self.defaults)


@dataclass(frozen=True)
class Axis:
    """One direction of a sweep: the parameters that vary along it together, and their values at each point."""

    names: tuple[str, ...]
    points: list[tuple[Scalar, ...]]


@dataclass(frozen=True)
class Executable:
    """One script of a job: `mappings` are inputs from inside the job, `externals` inputs that the job is given."""

    key: str
    outputs: dict[str, Any]
    mappings: list[dict[str, str]]
    externals: list[str]
    deps: list[str]


@dataclass(frozen=True)
class Shape:
    """Names of a job's inputs and outputs, and its executables. `defaults`: per input a path, or why there is none."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    defaults: dict[str, dict[str, str]]
    executables: list[Executable]


@dataclass(frozen=True)
class Case:
    """How a stage is wired if its inputs and its dependencies' outputs have certain names; or why it cannot be."""

    mappings: list[tuple[str, str, str]]
    """Target input, producing stage, its output."""
    error: str | None
    metadata_of: list[tuple[str, str]]
    """Runs whose metadata the stage is given, and whether the dependency is hard or soft."""
    store_base: bool


@dataclass(frozen=True)
class Stage:
    """One stage of a pipeline. What varies is listed per instance, in the order of the stage's own sweep points."""

    name: str
    kind: str
    version: str
    hash_mode: str
    parameters: dict[str, Scalar]
    pname: Varied[str]
    resources: Varied[dict[str, Any]]
    part_resources: list[Varied[dict[str, Any]]]
    shape: Varied[Shape]
    scripts: dict[str, Varied[Script]]
    needs: list[str]
    items: list[str]
    cases: dict[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], Case]


@dataclass(frozen=True)
class Pipeline:
    """Stages, each after those that it depends on."""

    name: str
    stages: list[Stage]


@dataclass(frozen=True)
class RunDependency:
    """Another run, by name, and the type of the dependency: hard or soft."""

    run: str
    type: str


@dataclass(frozen=True)
class Run:
    """One run: its sweep, its pipelines, the runs that it depends on. `paths` are kept in the store with the lab."""

    name: str
    axes: list[Axis]
    paths: list[str]
    dependencies: list[RunDependency]
    pipelines: list[Pipeline]


@dataclass(frozen=True)
class Lab:
    """`runs` in order of dependency; those not `chosen` are there because ids of chosen ones depend on them."""

    git_hash: str
    lab_version: str
    groups: dict[str, list[str]]
    chosen: list[str]
    runs: list[Run]
    images: dict[str, str]
    host_tools: list[dict[str, str]]


def _scalar(value: Any) -> Scalar:
    # Nix writes a float as {"float": "<its exact text>"}, since its own JSON keeps six digits.
    return float(value["float"]) if isinstance(value, dict) else value


def _executable(record: dict[str, Any]) -> Executable:
    return Executable(record["key"], record["outputs"], record["mappings"], record["externals"], record["deps"])


def _shape(record: dict[str, Any]) -> Shape:
    executables = [_executable(executable) for executable in record["executables"]]
    return Shape(tuple(record["inputs"]), tuple(record["outputs"]), record["defaults"], executables)


def _case(record: dict[str, Any]) -> Case:
    special = record["special"]
    return Case(
        mappings=[(one["target"], one["stage"], one["source"]) for one in record.get("mappings", [])],
        error=record.get("error"),
        metadata_of=[(one["run"], one["type"]) for one in special["runs"]],
        store_base=special["store_base"],
    )


def _script(shebang: str, path: tuple[str, ...], content: dict[str, Any]) -> Script:
    return Script(shebang, path, content["text"], content["defaults"], content["digest"])


def _scripts(file: str, launch: dict[str, Any]) -> dict[str, Varied[Script]]:
    found = {}
    for key, executable in json.loads(Path(file).read_text(encoding="utf-8")).items():
        read = partial(_script, launch["shebang"], (*executable["path"], *launch["path"]))
        found[key] = varied(executable["content"], read)
    return found


def _stage(record: dict[str, Any], launch: dict[str, Any]) -> Stage:
    return Stage(
        name=record["name"],
        kind=record["kind"],
        version=record["version"],
        hash_mode=record["hash_mode"],
        parameters={name: _scalar(value) for name, value in record["parameters"].items()},
        pname=varied(record["pname"], str),
        resources=varied(record["resources"], dict),
        part_resources=[varied(one, dict) for one in record["part_resources"]],
        shape=varied(record["shape"], _shape),
        scripts=_scripts(record["scripts"], launch),
        needs=record["needs"],
        items=record["items"],
        cases={
            (tuple(case["inputs"]), tuple(tuple(outputs) for outputs in case["outputs"])): _case(case)
            for case in record["cases"]
        },
    )


def _run(record: dict[str, Any], launch: dict[str, Any]) -> Run:
    return Run(
        name=record["name"],
        axes=[
            Axis(tuple(axis["names"]), [tuple(_scalar(value) for value in point) for point in axis["points"]])
            for axis in record["axes"]
        ],
        paths=record["paths"],
        dependencies=[RunDependency(one["run"], one["type"]) for one in record["dependencies"]],
        pipelines=[
            Pipeline(pipeline["name"], [_stage(stage, launch) for stage in pipeline["stages"]])
            for pipeline in record["pipelines"]
        ],
    )


def read_lab(record: dict[str, Any]) -> Lab:
    """The blueprint of a lab. Reads the scripts that were composed for its stages."""
    return Lab(
        git_hash=record["git_hash"],
        lab_version=record["lab_version"],
        groups=record["groups"],
        chosen=record["chosen"],
        runs=[_run(run, record["launch"]) for run in record["runs"]],
        images=record["images"],
        host_tools=record["host_tools"],
    )
