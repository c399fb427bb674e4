"""A lab's settings, kept with the DAGs that were made from them.

Labs are configured in Airflow's configuration or in the arguments of `repx_dags`, which only the DAG file knows. The
command line has to find those as well: so each run's DAG carries the settings that say where lab and store are, as JSON
in the documentation (`doc_json`) of its first task.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from airflow_provider_repx.factory.settings import LabSettings

__all__ = ["read_settings", "recorded_settings"]

_KEY = "repx_settings"
# About building the lab or scheduling its DAGs: not needed to find anything, and a flake's URL may hold a token.
_LEFT_OUT = frozenset(
    {"allow_network", "build_schedule", "default_args", "flake", "out_link", "private_store", "schedule", "schedules"}
)


def recorded_settings(settings: LabSettings) -> str:
    """The settings as JSON, without those that have their default; the same settings give the same text."""
    values = settings.model_dump(
        mode="json", exclude=set(_LEFT_OUT), exclude_defaults=True, fallback=lambda _unknown: None
    )
    return json.dumps({_KEY: values}, sort_keys=True)


def read_settings(text: Any) -> LabSettings | None:
    """The opposite of `recorded_settings`; `None` for anything else, or what another version of this package wrote."""
    try:
        return LabSettings.model_validate(json.loads(text)[_KEY])
    except (KeyError, TypeError, ValueError, ValidationError):
        return None
