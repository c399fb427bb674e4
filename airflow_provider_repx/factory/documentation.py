"""What a DAG says about its run in the UI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.lab import Lab, Run, Scalar
from airflow_provider_repx.lab.models import ResourceHints
from airflow_provider_repx.plan import RunPlan
from airflow_provider_repx.plan.labels import shown, sort_key

__all__ = ["describe_lab", "describe_run"]

_MAX_VALUES = 12
_MAX_TEXT = 200
_MAX_RUNS = 200


def describe_run(lab: Lab, run: Run, plan: RunPlan, settings: LabSettings) -> str:
    """Markdown: the run's place in its lab, its parameters, and its stages with points and resources."""
    parts = [
        f"# {_plain(run.name)}",
        f"Run of the RepX lab {_origin(lab, settings)}",
        _dependencies(run),
        "## Parameters",
        _table(("parameter", "values"), _parameters(run)),
        "## Stages",
        _table(("stage", "points", "jobs per task", "pool", "slots", "resources"), _stages(run, plan)),
        "## Runs of this lab",
        ", ".join(map(_plain, lab.run_names)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def describe_lab(lab: Lab, settings: LabSettings, dag_ids: Mapping[str, str]) -> str:
    """Markdown: the lab's version, its runs with their DAGs and what they depend on, and its groups."""
    groups = [(group, ", ".join(members)) for group, members in sorted(lab.groups.items())]
    parts = [
        f"# {_plain(settings.name)}",
        f"All runs of the RepX lab {_origin(lab, settings)} Each task starts a DAG run of the run's own DAG.",
        "## Runs",
        _table(("run", "DAG", "waits for", "knows of"), _runs(lab, dag_ids)),
        "## Groups",
        _table(("group", "runs"), groups),
    ]
    return "\n\n".join(parts) + "\n"


def _origin(lab: Lab, settings: LabSettings) -> str:
    return (
        f"**{_plain(settings.name)}**: version {_plain(lab.version)}, id {_plain(lab.lab_id)},"
        f" git {_plain(lab.git_hash)}."
    )


def _runs(lab: Lab, dag_ids: Mapping[str, str]) -> Iterable[tuple[str, ...]]:
    for run, dag_id in islice(dag_ids.items(), _MAX_RUNS):
        dependencies = lab.run(run).dependencies
        hard, soft = (
            ", ".join(dependency.run for dependency in dependencies if dependency.kind == kind) or "-"
            for kind in ("hard", "soft")
        )
        yield run, dag_id, hard, soft
    if len(dag_ids) > _MAX_RUNS:
        yield f"… ({len(dag_ids)} runs)", "", "", ""


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
            resources = _resources(run.jobs[stage.jobs[0]].resource_hints)
            yield stage.task_id, str(chain.points), str(chain.chunk), stage.pool, str(stage.slots), resources
    for group in plan.scatter_gathers:
        executables = run.jobs[group.jobs[0]].executables
        for part, key in zip(group.parts, group.executables, strict=True):
            resources = _resources(executables[key].resource_hints or run.jobs[group.jobs[0]].resource_hints)
            yield part.task_id, str(len(group.jobs)), str(group.chunk), part.pool, str(part.slots), resources


def _resources(hints: ResourceHints) -> str:
    asked = {"mem": hints.mem, "cpus": hints.cpus, "time": hints.time, "partition": hints.partition}
    return ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None) or "-"


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
