"""The assets that runs of a lab emit."""

from __future__ import annotations

from airflow.sdk import Asset

__all__ = ["run_asset"]


def run_asset(lab: str, run: str) -> Asset:
    """The asset `repx://<lab>/<run>`: emitted when every job of the run is done."""
    return Asset(name=f"repx://{lab}/{run}", uri=f"repx://{lab}/{run}", group="repx")
