"""What a session leaves behind that was killed before it could clean up."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from tools.airflow_local.processes import is_running

from .daemons import kill_all, owner_of
from .users import remove_ownerless_users

__all__ = ["SLURM_PREFIX", "SSHD_PREFIX", "remove_cgroups", "remove_leftovers"]

SLURM_PREFIX = "repx-slurm-"
SSHD_PREFIX = "repx-sshd-"


def remove_leftovers() -> int:
    """End the clusters, servers and users whose owner is dead; returns how many folders there were.

    A cluster belongs to the process that made it. Those of sessions that run at the same time are left alone.
    """
    removed = 0
    for prefix in (SLURM_PREFIX, SSHD_PREFIX):
        for folder in Path("/tmp").glob(f"{prefix}*"):  # noqa: S108 - the random names of `new_folder`
            owner = owner_of(folder)
            if owner is None or is_running(owner):
                continue
            kill_all(folder)
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    remove_ownerless_users()
    return removed


def remove_cgroups() -> None:
    """Remove the empty cgroups that slurmd leaves behind; those in use stay."""
    for top in Path("/sys/fs/cgroup").glob("*/slurm_*"):
        for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            top.rmdir()
