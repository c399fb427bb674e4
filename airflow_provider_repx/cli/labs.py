"""Which lab and store a command is about."""

from __future__ import annotations

import argparse
from pathlib import Path

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.factory.settings import LabSettings, configured_labs, lab_settings
from airflow_provider_repx.factory.target import target_of
from airflow_provider_repx.lab import Lab, read_lab

__all__ = ["lab_and_store"]


def lab_and_store(arguments: argparse.Namespace) -> tuple[Lab, OutputStore]:
    """The lab and the store that `--lab`, `--lab-name` and `--base-path` name; else the configured ones."""
    settings = _settings(arguments)
    return read_lab(settings.lab), OutputStore(target_of(settings).base_path)


def _settings(arguments: argparse.Namespace) -> LabSettings:
    base_path = arguments.base_path and Path(arguments.base_path).expanduser().absolute()
    given = {"lab": arguments.lab, "base_path": base_path}
    if arguments.lab is not None:
        return lab_settings(given, where="arguments")
    labs = configured_labs()
    name: str | None = arguments.lab_name or (next(iter(labs)) if len(labs) == 1 else None)
    if name is None or name not in labs:
        asked = f"no configured lab is called {name!r}" if name else "several labs are configured"
        raise TargetError(f"{asked}; pass --lab-name with one of: {', '.join(labs)}.")
    settings = labs[name]
    if isinstance(settings, TargetError):
        raise settings
    return settings if base_path is None else settings.model_copy(update={"base_path": base_path})
