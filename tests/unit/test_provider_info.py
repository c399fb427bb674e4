from __future__ import annotations

import importlib
import json
from importlib.metadata import entry_points
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from airflow_provider_repx.factory import LabSettings
from airflow_provider_repx.get_provider_info import get_provider_info

pytestmark = pytest.mark.unit


def test_the_metadata_follows_airflows_schema() -> None:
    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_airflow_finds_the_provider_by_its_entry_point() -> None:
    (point,) = entry_points(group="apache_airflow_provider", name="provider_info").select(
        value="airflow_provider_repx.get_provider_info:get_provider_info"
    )
    assert point.load() is get_provider_info


def test_everything_named_can_be_imported() -> None:
    info = get_provider_info()
    for kind in ("operators", "hooks", "sensors", "triggers", "bundles"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                assert importlib.import_module(module).__all__
    for name in (*info["cli"], *info["extra-links"]):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute)


def test_every_setting_can_be_configured() -> None:
    options: dict[str, Any] = get_provider_info()["config"]["repx"]["options"]
    assert set(options) == set(LabSettings.model_fields) | {"labs"}
