"""Resource hints: inherited from the stages that a stage depends on.

Memory, CPUs and time grow to the largest; partition and sbatch options are the stage's own, else the first
dependency's. A key that a stage sets to nothing (`null`, an empty list) is not inherited at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

__all__ = ["inherit", "memory_bytes", "time_seconds", "with_fallback"]

if TYPE_CHECKING:
    Hints = dict[str, Any]

_EXPONENTS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def memory_bytes(text: str) -> float:
    """`"16G"` in bytes; a bare number counts bytes."""
    number, suffix = re.findall(r"^([0-9.]+)([KMGTP]?)", text.upper())[0]
    return float(number) * 1024.0 ** _EXPONENTS[suffix]


def time_seconds(text: str) -> int:
    """`"1-02:00:00"`, `"02:00:00"`, `"30:00"` or `"90"` in seconds; a bare number counts seconds."""
    days, dash, clock = text.rpartition("-")
    fields = [int(field) for field in clock.split(":")]
    if dash:
        hours, minutes, seconds = (*fields, 0, 0)[:3]
    else:
        hours, minutes, seconds = (0, 0, *fields)[-3:]
    return int(days or 0) * 86_400 + hours * 3_600 + minutes * 60 + seconds


_SIZES: dict[str, Callable[[Any], float]] = {"mem": memory_bytes, "cpus": float, "time": time_seconds}
_KEYS = ("mem", "cpus", "time", "partition", "sbatch_opts")


def inherit(own: Mapping[str, Any], upstream: list[Hints]) -> Hints:
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
