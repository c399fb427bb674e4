"""Which targets this version can honor: it runs jobs natively on this machine.

A run may have a container image; on a target whose execution type is native its jobs run without it, as in RepX. A
target that asks for anything else is refused, because running its jobs differently from what it says would be worse
than not running them.
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
    problems: tuple[tuple[bool, str, object, str], ...] = (
        (
            target.execution_type != "native",
            "execution_type",
            target.execution_type,
            "This version runs jobs natively, without containers. Use a target with execution type native.",
        ),
        (
            target.scheduler != "local",
            "scheduler",
            target.scheduler,
            "This version runs jobs on this machine. Use a target with scheduler local.",
        ),
        (
            target.address is not None,
            "address",
            target.address,
            "This version does not reach other machines. Use a target without an address.",
        ),
        (
            target.mount_host_paths,
            "mount_host_paths",
            "true",
            "Mounts belong to containers, and native jobs see the whole machine. Remove the setting for this target.",
        ),
        (
            bool(target.mount_paths),
            "mount_paths",
            ", ".join(map(str, target.mount_paths)),
            "Mounts belong to containers, and native jobs see the whole machine. Remove the setting for this target.",
        ),
        (
            target.node_local_path is not None,
            "node_local_path",
            target.node_local_path,
            "This version keeps all files under the base path. Remove the setting for this target.",
        ),
    )
    for asked, field, value, advice in problems:
        if asked:
            raise UnsupportedTargetError(
                f"run {run.name}: target {target.name}: {field}: {value} cannot be honored. {advice}"
            )
