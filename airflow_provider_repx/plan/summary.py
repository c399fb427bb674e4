"""A plan told to people: one row per task, for documentation and the command line."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_repx.plan.models import RunPlan

__all__ = ["StageRow", "describe", "markdown_table"]


@dataclass(frozen=True)
class StageRow:
    """One task of a plan: its jobs in all, how many one task instance takes, and what each takes of which pool."""

    stage: str
    points: int
    chunk: int
    pool: str
    slots: int


def describe(plan: RunPlan) -> tuple[StageRow, ...]:
    """One row per task, upstream first, scatter-gather stages last; `stage` is the task id.

    The row of a step counts jobs too: how many branches they have is known only once scatter has run.
    """
    chains = tuple(
        StageRow(stage.task_id, chain.points, chain.chunk, stage.pool, stage.slots)
        for chain in plan.chains
        for stage in chain.stages
    )
    parts = tuple(
        StageRow(part.task_id, len(group.jobs), group.chunk, part.pool, part.slots)
        for group in plan.scatter_gathers
        for part in group.parts
    )
    return chains + parts


def markdown_table(plan: RunPlan) -> str:
    """The rows as a table in Markdown, without a final newline; it reads well as plain text too."""
    header = ("Stage", "Points", "Points per task", "Pool", "Slots")
    body = [(row.stage, str(row.points), str(row.chunk), row.pool, str(row.slots)) for row in describe(plan)]
    widths = [max(len(cells[column]) for cells in (header, *body)) for column in range(len(header))]
    numeric = (False, True, True, False, True)

    def line(cells: tuple[str, ...]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = " | ".join("-" * (width - 1) + (":" if right else "-") for width, right in zip(widths, numeric, strict=True))
    return "\n".join((line(header), f"| {rule} |", *map(line, body)))
