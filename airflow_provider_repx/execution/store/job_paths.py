"""Where the files of one job lie in an output store; the names are RepX's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["JobPaths"]


@dataclass(frozen=True)
class JobPaths:
    """The files of one job (``<base_path>/outputs/<job>``) or of one part of a scatter-gather job, all below `root`.

    `claim` and `attempt` are this package's own additions; RepX's readers ignore them.
    """

    root: Path

    @property
    def out(self) -> Path:
        """The folder with the job's results."""
        return self.root / "out"

    @property
    def repx(self) -> Path:
        """The folder with everything about the job that is not a result."""
        return self.root / "repx"

    @property
    def inputs(self) -> Path:
        """What the job's script reads its inputs' paths from."""
        return self.repx / "inputs.json"

    @property
    def parameters(self) -> Path:
        """What the job's script reads its parameters from."""
        return self.repx / "parameters.json"

    @property
    def stdout(self) -> Path:
        """The standard output of every attempt, appended."""
        return self.repx / "stdout.log"

    @property
    def stderr(self) -> Path:
        """The standard error of every attempt, appended."""
        return self.repx / "stderr.log"

    @property
    def success(self) -> Path:
        """An empty file: the job is done."""
        return self.repx / "SUCCESS"

    @property
    def fail(self) -> Path:
        """An empty file: the last attempt exited with an error."""
        return self.repx / "FAIL"

    @property
    def claim(self) -> Path:
        """Who runs the job now; see `claim`."""
        return self.repx / "claim"

    @property
    def attempt(self) -> Path:
        """How the last attempt ended; see `attempt`."""
        return self.repx / "attempt.json"

    @property
    def work_items(self) -> Path:
        """What the scatter of a scatter-gather job has found: a JSON array with one item per branch."""
        return self.root / "scatter" / "out" / "work_items.json"

    def branch(self, number: int) -> Path:
        """The folder of one branch of a scatter-gather job, counted from 0 in the order of the work items."""
        return self.root / f"branch-{number}"

    def work_item(self, branch: int) -> Path:
        """The item that a branch works on: compact JSON."""
        return self.branch(branch) / "repx" / "work_item.json"
