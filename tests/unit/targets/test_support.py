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
    "what",
    [
        {"scheduler": "slurm"},
        {"scheduler": "slurm", "address": "me@cluster"},
        {"scheduler": "slurm", "ssh_connection": "login"},
        # What concerns containers does not concern native jobs.
        {"mount_host_paths": True, "mount_paths": (Path("/data"),), "node_local_path": Path("/scratch")},
    ],
)
def test_slurm_here_and_elsewhere_is_supported(what: dict[str, object]) -> None:
    require_supported(local_target("/store").model_copy(update=what), RUN)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("execution_type", "podman", "execution_type: podman"),
        ("address", "me@cluster", "scheduler: local"),
        ("ssh_connection", "login", "scheduler: local"),
    ],
)
def test_anything_else_is_refused(field: str, value: object, told: str) -> None:
    target = local_target("/store").model_copy(update={field: value})
    with pytest.raises(UnsupportedTargetError, match=rf"^run simulation: target local: {told} cannot be honored.+\.$"):
        require_supported(target, RUN)
