from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

_BELOW_AIRFLOW = (
    "errors",
    "lab",
    "building",
    "targets",
    "plan",
    "execution.transport.ssh",
    "execution.store",
    "execution.jobs",
    "execution.slurm",
    "execution.reports",
)


@pytest.mark.parametrize("floor", _BELOW_AIRFLOW)
def test_a_floor_below_airflow_can_be_used_without_it(floor: str) -> None:
    program = f"import sys, airflow_provider_repx.{floor}; sys.exit('airflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
