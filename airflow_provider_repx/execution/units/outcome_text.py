"""How the end of a unit is told, whoever ran it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from airflow_provider_repx.execution.units.unit import Unit

__all__ = ["EndedUnit", "outcome_text", "part_fields"]


class EndedUnit(Protocol):
    """What the text needs to know of an outcome; seconds throughout."""

    @property
    def name(self) -> str: ...  # noqa: D102 - the classes that fit this protocol document their fields
    @property
    def status(self) -> str: ...  # noqa: D102 - see above
    @property
    def reused(self) -> bool: ...  # noqa: D102 - see above
    @property
    def holder(self) -> str | None: ...  # noqa: D102 - see above
    @property
    def seconds(self) -> float | None: ...  # noqa: D102 - see above
    @property
    def cpu_seconds(self) -> float | None: ...  # noqa: D102 - see above
    @property
    def stderr_tail(self) -> tuple[str, ...]: ...  # noqa: D102 - see above
    @property
    def stdout(self) -> Path: ...  # noqa: D102 - see above
    @property
    def stderr(self) -> Path: ...  # noqa: D102 - see above


def outcome_text(outcome: EndedUnit, *, explanation: str, figures: Iterable[str | None] = ()) -> str:
    """What to write into a log: one line, and for what did not succeed its last words and its logs' paths.

    `figures` follow the times on the first line; `None` stands for one that is not known.
    """
    if outcome.status == "succeeded" and outcome.reused:
        return f"{outcome.name}: reused, done by {outcome.holder}"
    text = f"{outcome.name}: {outcome.status}"
    text += f" in {outcome.seconds:.1f} s" if outcome.seconds is not None else ""
    text += f", {outcome.cpu_seconds:.1f} s of processor time" if outcome.cpu_seconds is not None else ""
    text += "".join(figure for figure in figures if figure is not None)
    if outcome.status == "succeeded":
        return text
    lines = [f"{text}: {explanation}"]
    if outcome.reused:
        lines.append(f"it was run by {outcome.holder}")
    if outcome.stderr_tail:
        lines.append("last lines of its standard error:")
        lines += [f"    {line}" for line in outcome.stderr_tail]
    lines.append(f"logs: {outcome.stderr} and {outcome.stdout}")
    return "\n".join(lines)


def part_fields(unit: Unit | None) -> dict[str, Any]:
    """Which part of a job a unit is, as JSON can hold it; empty for a whole simple job."""
    if unit is None or unit.part == "main":
        return {}
    step = {"branch": unit.branch, "step": unit.step} if unit.part == "step" else {}
    return {"part": unit.part, **step}
