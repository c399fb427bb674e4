from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_repx.factory.recorded_settings import read_settings, recorded_settings
from airflow_provider_repx.factory.settings import LabSettings

pytestmark = pytest.mark.unit


def test_what_finds_lab_and_store_is_kept_and_nothing_secret() -> None:
    settings = LabSettings(
        lab=Path("/srv/it's a lab"),
        name="ising",
        base_path=Path("/srv/base"),
        dag_id_prefix="x_",
        cpus=3,
        flake="git+https://user:secret@example.org/lab#lab",
        default_args={"on_failure_callback": print},
    )
    text = recorded_settings(settings)
    assert "secret" not in text
    assert read_settings(text) == LabSettings(
        lab=settings.lab, name="ising", base_path=settings.base_path, dag_id_prefix="x_", cpus=3
    )
    assert text == recorded_settings(settings.model_copy())


@pytest.mark.parametrize("text", [None, "", "{}", "[]", "no JSON", '{"repx_settings": {"unknown": 1}}'])
def test_anything_else_is_not_taken_for_settings(text: str | None) -> None:
    assert read_settings(text) is None
