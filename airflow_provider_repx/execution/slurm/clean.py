"""An environment in which Slurm's commands do what their arguments say."""

from __future__ import annotations

__all__ = ["CLEAN"]

_DEFAULTS_OF_USERS = (
    "SQUEUE_ALL", "SQUEUE_ACCOUNT", "SQUEUE_ARRAY", "SQUEUE_FEDERATION", "SQUEUE_FORMAT", "SQUEUE_FORMAT2",
    "SQUEUE_LICENSES", "SQUEUE_LOCAL", "SQUEUE_NAMES", "SQUEUE_PARTITION", "SQUEUE_PRIORITY", "SQUEUE_QOS",
    "SQUEUE_SIBLING", "SQUEUE_SORT", "SQUEUE_STATES", "SQUEUE_USERS", "SLURM_CLUSTERS", "SACCT_FEDERATION",
    "SACCT_LOCAL", "SLURM_TIME_FORMAT", "SINFO_ALL", "SINFO_FORMAT", "SINFO_PARTITION", "SINFO_SORT", "SCANCEL_STATE",
    "SCANCEL_NAME", "SCANCEL_USER", "SCANCEL_PARTITION", "SCANCEL_ACCOUNT", "SCANCEL_QOS", "SCANCEL_INTERACTIVE",
    "SCONTROL_ALL", "SCONTROL_FEDERATION",
)  # fmt: skip

CLEAN = (
    "env",
    *(argument for name in _DEFAULTS_OF_USERS for argument in ("-u", name)),
    # Array indices in full length, however many.
    "SLURM_BITSTR_LEN=0",
    "LC_ALL=C",
)
"""What comes before a command."""
