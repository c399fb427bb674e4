from __future__ import annotations

import pytest

from airflow_provider_repx.triggers.slurm import base


@pytest.fixture(autouse=True)
def nothing_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker has handed over here."""
    monkeypatch.setattr(base, "_HANDOVER_SECONDS", 0.0)
