"""How many processes a cluster object has started on its target."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Statistics"]


@dataclass(frozen=True)
class Statistics:
    """Processes started so far: of each of Slurm's commands, and of this package's own script on the target.

    A submission starts `sbatch` from within a script, so it counts for both.
    """

    sbatch: int = 0
    squeue: int = 0
    sacct: int = 0
    scontrol: int = 0
    scancel: int = 0
    script: int = 0
