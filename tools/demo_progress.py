"""Progress of runs for a person: bars in a terminal, a line per change where the output is a file."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

__all__ = ["RunProgress", "show_progress"]


@dataclass(frozen=True)
class RunProgress:
    """How many of a run's jobs are done."""

    run: str
    done: int
    total: int


@contextlib.contextmanager
def show_progress(console: Console, runs: Sequence[str]) -> Iterator[Callable[[RunProgress], None]]:
    """Give a function that shows how far a run has come; what it showed last stays on the screen."""
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as bars:
            tasks = {run: bars.add_task(run, total=None) for run in runs}
            yield lambda progress: bars.update(tasks[progress.run], completed=progress.done, total=progress.total)
        return
    shown: set[RunProgress] = set()

    def print_change(progress: RunProgress) -> None:
        if progress not in shown:
            shown.add(progress)
            console.print(f"  {progress.run}: {progress.done} of {progress.total} jobs done")

    yield print_change
