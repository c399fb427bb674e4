"""Progress of runs for a person: bars in a terminal, a line now and then where the output is a file."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

__all__ = ["RunProgress", "show_progress"]

_LINES_PER_RUN = 6


@dataclass(frozen=True)
class RunProgress:
    """How many of a run's jobs are done, and the state of its DAG run."""

    run: str
    state: str
    done: int
    total: int


@contextlib.contextmanager
def show_progress(console: Console, runs: Sequence[str]) -> Iterator[Callable[[RunProgress], None]]:
    """Give a function that shows how far a run has come; what it showed last stays on the screen."""
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as bars:
            tasks = {run: bars.add_task(run, total=None) for run in runs}

            def update(progress: RunProgress) -> None:
                text = f"{progress.run} ({progress.state})"
                bars.update(tasks[progress.run], description=text, completed=progress.done, total=progress.total)

            yield update
        return
    shown: dict[str, RunProgress] = {}

    def print_now_and_then(progress: RunProgress) -> None:
        before = shown.get(progress.run)
        if before is None or _is_news(before, progress):
            shown[progress.run] = progress
            console.print(f"  {progress.run} ({progress.state}): {progress.done} of {progress.total} jobs done")

    yield print_now_and_then


def _is_news(before: RunProgress, now: RunProgress) -> bool:
    """Whether a run has come far enough, since it was shown last, for another line."""
    if now.state != before.state:
        return True
    return now.done - before.done >= (1 if now.done == now.total else now.total / _LINES_PER_RUN)
