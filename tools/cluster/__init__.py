"""Throwaway Slurm clusters and SSH servers on this machine, for tests, benchmarks and demonstrations.

They need no systemd, share nothing with an installed Slurm or sshd, and keep everything in one folder that `stop`
removes. The classes are for Python; ``python -m tools.cluster run COMMAND`` runs one command with a cluster around it.
"""

from __future__ import annotations

from .daemons import ClusterError
from .leftovers import remove_leftovers
from .slurm import SlurmOptions, ThrowawaySlurm, why_no_slurm
from .sshd import SshdOptions, ThrowawaySshd, why_no_sshd
from .users import ThrowawayUser, why_no_users

__all__ = [
    "ClusterError",
    "SlurmOptions",
    "SshdOptions",
    "ThrowawaySlurm",
    "ThrowawaySshd",
    "ThrowawayUser",
    "remove_leftovers",
    "why_no_slurm",
    "why_no_sshd",
    "why_no_users",
]
