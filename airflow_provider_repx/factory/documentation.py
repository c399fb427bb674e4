"""What a DAG says about its run in the UI."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.lab import Lab, Run, Scalar
from airflow_provider_repx.plan import RunPlan
from airflow_provider_repx.plan.labels import shown, sort_key

__all__ = ["describe_run"]

_MAX_VALUES = 12
_MAX_TEXT = 200


def describe_run(lab: Lab, run: Run, plan: RunPlan, settings: LabSettings) -> str:
    """Markdown: the run's place in its lab, its parameters, and its stages with points and resources."""
    origin = (
        f"Run of the RepX lab **{_plain(settings.name)}**: version {_plain(lab.version)}, id {_plain(lab.lab_id)},"
        f" git {_plain(lab.git_hash)}."
    )
    parts = [
        f"# {_plain(run.name)}",
        origin,
        _dependencies(run),
        "## Parameters",
        _table(("parameter", "values"), _parameters(run)),
        "## Stages",
        _table(("stage", "points", "jobs per task", "pool", "slots", "resources"), _stages(run, plan)),
        "## Runs of this lab",
        ", ".join(map(_plain, lab.run_names)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _dependencies(run: Run) -> str:
    return "\n".join(
        f"* waits for run {_plain(dependency.run)}"
        if dependency.kind == "hard"
        else f"* knows of run {_plain(dependency.run)}"
        for dependency in run.dependencies
    )


def _parameters(run: Run) -> Iterable[tuple[str, str]]:
    values: dict[str, dict[str, Scalar]] = {}
    for job in run.jobs.values():
        for name, value in job.params.items():
            values.setdefault(name, {}).setdefault(repr(value), value)
    for name, distinct in values.items():
        ordered = sorted(distinct.values(), key=sort_key)
        shown = ", ".join(_text(value) for value in ordered[:_MAX_VALUES])
        more = f" … ({len(ordered)} values)" if len(ordered) > _MAX_VALUES else ""
        yield name, shown + more


def _stages(run: Run, plan: RunPlan) -> Iterable[tuple[str, ...]]:
    for chain in plan.chains:
        for stage in chain.stages:
            hints = run.jobs[stage.jobs[0]].resource_hints
            asked = {"mem": hints.mem, "cpus": hints.cpus, "time": hints.time, "partition": hints.partition}
            resources = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
            yield stage.task_id, str(chain.points), str(chain.chunk), stage.pool, str(stage.slots), resources or "-"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(map(_plain, row)) + " |" for row in rows]
    if not lines:
        return "None."
    return "\n".join(["| " + " | ".join(header) + " |", "|" + " --- |" * len(header), *lines])


def _text(value: Scalar) -> str:
    text = shown(value)
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def _plain(text: str) -> str:
    """Text of a lab as text: no line breaks, no markup. Not for code spans, which show the backslashes."""
    escaped = " ".join(text.split())
    for character in "\\|<>`*_[]&~":
        escaped = escaped.replace(character, "\\" + character)
    return escaped
