"""This machine: versions, and the nix command."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import version

from airflow_provider_repx import __version__
from airflow_provider_repx.building.client import Nix
from airflow_provider_repx.cli.checks.finding import Finding, broken, ok, warning
from airflow_provider_repx.errors import CommandError, NixError

__all__ = ["check_nix", "check_versions"]

_OLDEST_AIRFLOW = (3, 3)


def check_versions() -> Iterator[Finding]:
    """Whether this Airflow is one that the provider is made for."""
    airflow = version("apache-airflow-core")
    found = tuple(int(part) for part in airflow.split(".")[:2])
    text = f"airflow-provider-repx {__version__}, Airflow {airflow}, Python {platform.python_version()}"
    if found < _OLDEST_AIRFLOW:
        yield broken(
            "versions", f"{text}: Airflow {'.'.join(map(str, _OLDEST_AIRFLOW))} or newer is needed; upgrade it"
        )
    else:
        yield ok("versions", text)


def check_nix() -> Iterator[Finding]:
    """Whether labs can be built here. Those that are built already run without."""
    try:
        nix = Nix.find()
        yield ok("nix", f"{nix.version} ({nix.executable})")
    except (NixError, CommandError, OSError) as error:
        yield warning("nix", f"labs cannot be built here, only run: {error}")
