"""Resource hints: inherited from the stages that a stage depends on.

Memory, CPUs and time grow to the largest; partition and sbatch options are the stage's own, else the first
dependency's. A key that a stage sets, even to nothing, is not inherited where it has no size to compare.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping

__all__ = ["inherit", "memory_bytes", "time_seconds", "with_fallback"]

Hints = Dict[str, Any]

_UNITS = {"": 1 << 20, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def memory_bytes(text: str) -> float:
    """`"16G"` in bytes; a bare number counts megabytes, as it does for Slurm."""
    match = re.match(r"([0-9.]+)([KMGT]?)", text.upper())
    assert match is not None, text  # noqa: S101 - Nix has checked the form
    return float(match.group(1)) * _UNITS[match.group(2)]


def time_seconds(text: str) -> int:
    """`"1-02:00:00"`, `"02:00:00"`, `"30:00"` or `"90"` in seconds; a bare number counts seconds, as it does for RepX."""
    days, dash, clock = text.rpartition("-")
    fields = [int(field) for field in clock.split(":")]
    if dash:
        hours, minutes, seconds = (fields + [0, 0])[:3]
        return ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds
    seconds = 0
    for field in fields:
        seconds = seconds * 60 + field
    return seconds


_SIZES: Dict[str, Callable[[Any], float]] = {"mem": memory_bytes, "cpus": float, "time": time_seconds}
_KEYS = ("mem", "cpus", "time", "partition", "sbatch_opts")


def inherit(own: Mapping[str, Any], upstream: List[Hints]) -> Hints:
    """The hints of a job from its stage's own and those of the jobs that it reads from, in order of dependency."""
    merged: Hints = {}
    for key in _KEYS:
        if key in own and own[key] in (None, []):
            if own[key] is not None:
                merged[key] = own[key]
            continue
        inherited = [hints[key] for hints in upstream if hints.get(key) is not None]
        if key in _SIZES:
            candidates = ([own[key]] if key in own else []) + inherited
            if candidates:
                merged[key] = max(candidates, key=_SIZES[key])
        elif key in own:
            merged[key] = own[key]
        elif inherited:
            merged[key] = inherited[0]
    return merged


def with_fallback(own: Mapping[str, Any], job: Hints) -> Hints:
    """The hints of one executable of a job: its own, else the job's."""
    merged = {key: own[key] if key in own else job.get(key) for key in _KEYS}
    return {key: value for key, value in merged.items() if value is not None}
