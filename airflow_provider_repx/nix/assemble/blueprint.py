"""What Nix found out about a lab, as read from its JSON file: the input of everything here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

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

Scalar = Union[None, bool, int, float, str]


@dataclass(frozen=True)
class Script:
    """One script: its stage's text, and a digest of that part of it which results depend on."""

    shebang: str
    path: Tuple[str, ...]
    text: str
    defaults: Dict[str, str]
    digest: str

    @cached_property
    def content(self) -> bytes:
        """The whole file."""
        return compose(self.shebang, self.path, self.text, self.defaults)


@dataclass(frozen=True)
class Axis:
    """One direction of a sweep: the parameters that vary along it together, and their values at each point."""

    names: Tuple[str, ...]
    points: List[Tuple[Scalar, ...]]


@dataclass(frozen=True)
class Executable:
    """One script of a job: `mappings` are inputs from inside the job, `externals` inputs that the job is given."""

    key: str
    outputs: Dict[str, Any]
    mappings: List[Dict[str, str]]
    externals: List[str]
    deps: List[str]


@dataclass(frozen=True)
class Shape:
    """Names of a job's inputs and outputs, and its executables. `defaults`: per input a path, or why there is none."""

    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    defaults: Dict[str, Dict[str, str]]
    executables: List[Executable]


@dataclass(frozen=True)
class Case:
    """How a stage is wired if its inputs and its dependencies' outputs have certain names; or why it cannot be."""

    mappings: List[Tuple[str, str, str]]
    """Target input, producing stage, its output."""
    error: Optional[str]
    metadata_of: List[Tuple[str, str]]
    """Runs whose metadata the stage is given, and whether the dependency is hard or soft."""
    store_base: bool


@dataclass(frozen=True)
class Stage:
    """One stage of a pipeline. What varies is listed per instance, in the order of the stage's own sweep points."""

    name: str
    kind: str
    version: str
    hash_mode: str
    parameters: Dict[str, Scalar]
    pname: Varied[str]
    resources: Varied[Dict[str, Any]]
    part_resources: List[Varied[Dict[str, Any]]]
    shape: Varied[Shape]
    scripts: Dict[str, Varied[Script]]
    needs: List[str]
    items: List[str]
    cases: Dict[Tuple[Tuple[str, ...], Tuple[Tuple[str, ...], ...]], Case]


@dataclass(frozen=True)
class Pipeline:
    """Stages, each after those that it depends on."""

    name: str
    stages: List[Stage]


@dataclass(frozen=True)
class RunDependency:
    """Another run, by name, and the type of the dependency: hard or soft."""

    run: str
    type: str


@dataclass(frozen=True)
class Run:
    """One run: its sweep, its pipelines, the runs that it depends on."""

    name: str
    axes: List[Axis]
    dependencies: List[RunDependency]
    pipelines: List[Pipeline]


@dataclass(frozen=True)
class Lab:
    """`runs` in order of dependency; those not `chosen` are there because ids of chosen ones depend on them."""

    git_hash: str
    lab_version: str
    groups: Dict[str, List[str]]
    chosen: List[str]
    runs: List[Run]
    images: Dict[str, str]
    host_tools: List[Dict[str, str]]


def _scalar(value: Any) -> Scalar:
    # Nix writes a float as {"float": "<its exact text>"}, since its own JSON keeps six digits.
    return float(value["float"]) if isinstance(value, dict) else value


def _executable(record: Dict[str, Any]) -> Executable:
    return Executable(record["key"], record["outputs"], record["mappings"], record["externals"], record["deps"])


def _shape(record: Dict[str, Any]) -> Shape:
    executables = [_executable(executable) for executable in record["executables"]]
    return Shape(tuple(record["inputs"]), tuple(record["outputs"]), record["defaults"], executables)


def _case(record: Dict[str, Any]) -> Case:
    special = record["special"]
    return Case(
        mappings=[(one["target"], one["stage"], one["source"]) for one in record.get("mappings", [])],
        error=record.get("error"),
        metadata_of=[(one["run"], one["type"]) for one in special["runs"]],
        store_base=special["store_base"],
    )


def _scripts(file: str, launch: Dict[str, Any]) -> Dict[str, Varied[Script]]:
    found = {}
    for key, executable in json.loads(Path(file).read_text(encoding="utf-8")).items():
        path = (*executable["path"], *launch["path"])
        found[key] = varied(
            executable["content"], lambda content, path=path: Script(launch["shebang"], path, **content)
        )
    return found


def _stage(record: Dict[str, Any], launch: Dict[str, Any]) -> Stage:
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


def _run(record: Dict[str, Any], launch: Dict[str, Any]) -> Run:
    return Run(
        name=record["name"],
        axes=[
            Axis(tuple(axis["names"]), [tuple(_scalar(value) for value in point) for point in axis["points"]])
            for axis in record["axes"]
        ],
        dependencies=[RunDependency(one["run"], one["type"]) for one in record["dependencies"]],
        pipelines=[
            Pipeline(pipeline["name"], [_stage(stage, launch) for stage in pipeline["stages"]])
            for pipeline in record["pipelines"]
        ],
    )


def read_lab(record: Dict[str, Any]) -> Lab:
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
