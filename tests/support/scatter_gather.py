"""Scatter-gather jobs for labs made on the spot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.labs import JobSpec

__all__ = ["DIAMOND", "StepSpec", "read_input", "scatter_gather"]


@dataclass(frozen=True)
class StepSpec:
    """A step: what it runs besides the common part, the steps that it reads `data` of, and its resource hints."""

    deps: tuple[str, ...] = ()
    script: str = ""
    hints: Mapping[str, Any] = field(default_factory=dict)


DIAMOND: Mapping[str, StepSpec] = {
    "join": StepSpec(deps=("left", "right")),
    "left": StepSpec(deps=("start",)),
    "right": StepSpec(deps=("start",)),
    "start": StepSpec(),
}
"""start -> left, right -> join; in the alphabetical order of names, as labs have it."""


_UNESCAPE = r"""sed 's/[\]"/"/g'"""
"""Of all that JSON escapes in paths, tests use quotes only."""


def read_input(name: str) -> str:
    """A bash expression for the path of an input."""
    return f'"$(sed -n \'s/^  "{name}": "\\(.*\\)",\\{{0,1\\}}$/\\1/p\' "$inputs_json" | {_UNESCAPE})"'


def scatter_gather(
    identifier: str,
    *,
    items: str,
    steps: Mapping[str, StepSpec] = DIAMOND,
    reads: Mapping[str, tuple[str, str]] | None = None,
    before: str = "",
    gather: str = "",
    params: Mapping[str, Any] | None = None,
    hints: Mapping[str, Mapping[str, Any]] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> JobSpec:
    """A job whose scatter runs `items`, in a folder where it has to leave ``work_items.json``.

    Each step writes its name and the content of its inputs in brackets, such as ``left(start(1))``, to its output
    `data`; gather writes a line for each branch and the scatter's output `note` to the output `data`. `before` is run
    first by every part, with its name in ``$part`` (scatter, step-<name>, gather) and the branch's number in
    ``$branch`` (of other parts: empty). `hints` are those of the job (`job`) and of its parts by executable.
    """
    external = [
        {"type": "intra-pipeline", "job_id": producer, "source_output": output, "target_input": target}
        for target, (producer, output) in (reads or {}).items()
    ]
    scripts = {
        "scatter": f"{_WHERE}{before}\nprintf noted > note.txt\n{items}",
        "gather": _gather_script(before, gather),
    }
    executables: dict[str, Any] = {
        "scatter": _executable(
            identifier,
            "scatter",
            external,
            {"work__items": "$out/work_items.json", "worker__arg": {"index": 0}, "note": "$out/note.txt"},
        )
    }
    for name, step in steps.items():
        inputs = [
            {"source": f"step:{other}", "source_output": "data", "target_input": f"from_{other}"} for other in step.deps
        ]
        if not step.deps:
            inputs = [{"source": "scatter:work_item", "target_input": "worker__item"}, *external]
        executables[f"step-{name}"] = _executable(
            identifier, f"step-{name}", inputs, {"data": "$out/data.txt"}, deps=step.deps, hints=step.hints
        )
        scripts[f"step-{name}"] = _step_script(name, step, before)
    executables["gather"] = _executable(
        identifier,
        "gather",
        [
            {"source": "runner:worker_outputs", "source_key": "data", "target_input": "worker__outs"},
            {"job_id": "self", "source_output": "note", "target_input": "note"},
        ],
        {"data": "$out/data.txt"},
    )
    for part, asked in (hints or {}).items():
        if part != "job":
            executables[part]["resource_hints"] = dict(asked)
    record = {"stage_type": "scatter-gather", "executables": executables, **(extra or {})}
    return JobSpec(
        identifier, params=dict(params or {}), hints=dict((hints or {}).get("job", {})), extra=record, scripts=scripts
    )


def _executable(
    identifier: str,
    name: str,
    inputs: Sequence[Mapping[str, Any]],
    outputs: Mapping[str, Any],
    deps: Sequence[str] = (),
    hints: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    executable = {
        "path": f"jobs/{identifier}/bin/{name}",
        "inputs": list(inputs),
        "outputs": dict(outputs),
        "deps": list(deps),
    }
    return executable | ({"resource_hints": dict(hints)} if hints else {})


_WHERE = """part=${0##*/}
branch=${out%/step-*}; branch=${branch##*/branch-}
[[ $part == step-* ]] || branch=''
"""


def _step_script(name: str, step: StepSpec, before: str) -> str:
    sources = [f"from_{other}" for other in step.deps] or ["worker__item"]
    content = " ".join(f"$(cat {read_input(source)})" for source in sources)
    return f'{_WHERE}{before}\n{step.script}\nprintf %s "{name}({content})" > data.txt'


def _gather_script(before: str, gather: str) -> str:
    outs = read_input("worker__outs")
    return (
        f"{_WHERE}{before}\n{gather}\n"
        f'sed -n \'s/^    "data": "\\(.*\\)"$/\\1/p\' {outs} | {_UNESCAPE} > outs\n'
        'while IFS= read -r path; do IFS= read -r line < "$path" || true; echo "$line"; done < outs > data.txt\n'
        f"cat {read_input('note')} >> data.txt"
    )
