"""Python around the nix command. Importable without Airflow."""

from airflow_provider_repx.building.client import BuildResult, EventCallback, Nix, PathInfo, find_nix
from airflow_provider_repx.building.gc_roots import KeptPath, keep, kept, release
from airflow_provider_repx.building.installables import (
    AttributeSource,
    ExpressionSource,
    FileSource,
    FlakeSource,
    NixSource,
    StorePathSource,
    run_slice,
)
from airflow_provider_repx.building.progress import BuildProgress

__all__ = [
    "AttributeSource",
    "BuildProgress",
    "BuildResult",
    "EventCallback",
    "ExpressionSource",
    "FileSource",
    "FlakeSource",
    "KeptPath",
    "Nix",
    "NixSource",
    "PathInfo",
    "StorePathSource",
    "find_nix",
    "keep",
    "kept",
    "release",
    "run_slice",
]
