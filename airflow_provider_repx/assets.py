"""The assets that runs of a lab emit."""

from __future__ import annotations

from airflow.sdk import Asset

__all__ = ["lab_asset", "run_asset"]


def run_asset(lab: str, run: str) -> Asset:
    """The asset `repx://<lab>/<run>`: emitted when every job of the run is done."""
    return Asset(name=f"repx://{lab}/{run}", uri=f"repx://{lab}/{run}", group="repx")


def lab_asset(lab: str) -> Asset:
    """The asset `repx://<lab>`: emitted when the lab was built."""
    return Asset(name=f"repx://{lab}", uri=f"repx://{lab}", group="repx")
