"""Which targets this version can honor: it runs jobs natively, on this machine or on Slurm, here or over SSH.

A run may have a container image; on a target whose execution type is native its jobs run without it, as in RepX. So do
its mounts and its node-local folder, which belong to containers: native jobs see the whole machine. A target that asks
for anything else is refused, because running its jobs differently from what it says would be worse than not running
them.
"""

from __future__ import annotations

from airflow_provider_repx.errors import UnsupportedTargetError
from airflow_provider_repx.lab.models import Run
from airflow_provider_repx.targets.models import Target

__all__ = ["require_supported"]


def require_supported(target: Target, run: Run) -> None:
    """Check that the run's jobs can be run on the target exactly as it says.

    Raises `UnsupportedTargetError`, which names target, field and what to do.
    """
    where = f"run {run.name}: target {target.name}"
    if target.execution_type != "native":
        raise UnsupportedTargetError(
            f"{where}: execution_type: {target.execution_type} cannot be honored. This version runs jobs natively,"
            " without containers. Use a target with execution type native."
        )
    elsewhere = target.address or target.ssh_connection
    if target.scheduler == "local" and elsewhere is not None:
        raise UnsupportedTargetError(
            f"{where}: scheduler: local cannot be honored on {elsewhere}. Jobs on other machines are run by Slurm. Set"
            ' default_scheduler = "slurm" for this target.'
        )
