from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_repx.errors import UnsupportedTargetError
from airflow_provider_repx.lab.models import Run
from airflow_provider_repx.targets import local_target, require_supported

pytestmark = pytest.mark.unit

RUN = Run("simulation", "revision/metadata-simulation.json", "0" * 40, (), "images/x.tar", {})


def test_this_machine_runs_jobs_natively_also_of_runs_with_an_image() -> None:
    require_supported(local_target("/store"), RUN)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("execution_type", "podman", "podman"),
        ("scheduler", "slurm", "slurm"),
        ("address", "me@cluster", "me@cluster"),
        ("mount_host_paths", True, "true"),
        ("mount_paths", (Path("/data"), Path("/opt")), "/data, /opt"),
        ("node_local_path", Path("/scratch"), "/scratch"),
    ],
)
def test_anything_else_is_refused(field: str, value: object, told: str) -> None:
    target = local_target("/store").model_copy(update={field: value})
    message = rf"^run simulation: target local: {field}: {told} cannot be honored\. .+\.$"
    with pytest.raises(UnsupportedTargetError, match=message):
        require_supported(target, RUN)
