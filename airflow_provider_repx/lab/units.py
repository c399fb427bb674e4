"""Amounts of memory and time as labs and targets write them.

Memory: a number and ``K``, ``M``, ``G``, ``T`` or ``P`` (powers of 1024, as in Slurm; a following ``B`` or ``iB``
changes nothing), or a plain number of bytes. Time: ``MM:SS``, ``HH:MM:SS``, ``D-HH``, ``D-HH:MM``, ``D-HH:MM:SS``, or a
plain number of seconds.

Slurm reads plain numbers otherwise, as mebibytes and as minutes. So nothing that came as a plain number may be handed
to it as it is: `format_memory` and `format_time` write amounts so that Slurm either reads the same or refuses.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from airflow_provider_repx.errors import UnitError

__all__ = ["format_memory", "format_time", "parse_memory", "parse_time"]

_MEMORY = re.compile(r"(?P<number>[0-9]{1,18}(?:\.[0-9]{1,9})?) ?(?P<suffix>[KMGTP]?)(?:I?B)?", re.IGNORECASE)
_EXPONENTS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}

_DAYS = re.compile(
    r"(?P<days>[0-9]{1,9})-(?P<hours>[0-9]{1,9})(?::(?P<minutes>[0-9]{1,9})(?::(?P<seconds>[0-9]{1,9}))?)?"
)
_CLOCK = re.compile(r"(?:(?:(?P<hours>[0-9]{1,9}):)?(?P<minutes>[0-9]{1,9}):)?(?P<seconds>[0-9]{1,9})")
_SECONDS_IN = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


def parse_memory(text: str) -> int:
    """Bytes in an amount of memory such as ``4G``, ``512M``, ``1.5T`` or ``4096`` (bytes), rounded up.

    Raises:
        UnitError: it is not such an amount, or zero (which Slurm would take as all of the memory of a node).

    """
    match = _MEMORY.fullmatch(text.strip())
    if match is None:
        raise UnitError(
            f"memory: cannot read {text!r}; write a number with K, M, G, T or P, such as '4G', or a number of bytes"
        )
    amount: int = math.ceil(Fraction(match["number"]) * 1024 ** _EXPONENTS[match["suffix"].upper()])
    if amount == 0:
        raise UnitError(f"memory: {text!r} is nothing; leave the field out where a job needs no particular amount")
    return amount


def format_memory(amount: int) -> str:
    """Write `amount` bytes with the largest suffix that is exact, such as ``4G``; `parse_memory` reads it back.

    What is not a whole number of kibibytes ends in ``B`` (``1000B``), which Slurm refuses rather than misreads.

    Raises:
        UnitError: `amount` is not positive.

    """
    if amount <= 0:
        raise UnitError(f"memory: {amount} bytes is not an amount that can be asked for")
    for suffix, exponent in reversed(_EXPONENTS.items()):
        if amount % 1024**exponent == 0:
            return f"{amount // 1024**exponent}{suffix or 'B'}"
    raise AssertionError(amount)  # pragma: no cover - one byte divides every amount


def parse_time(text: str) -> int:
    """Seconds in a length of time such as ``02:00:00``, ``30:00``, ``1-12:00:00``, ``1-12`` or ``90`` (seconds).

    As in Slurm, each part may be larger than a clock shows: ``00:90:00`` is an hour and a half.

    Raises:
        UnitError: it is not such a length, or zero (which Slurm would take as no limit).

    """
    match = _DAYS.fullmatch(text.strip()) or _CLOCK.fullmatch(text.strip())
    if match is None:
        raise UnitError(f"time: cannot read {text!r}; write HH:MM:SS, MM:SS, D-HH:MM:SS or a number of seconds")
    seconds = sum(int(part) * _SECONDS_IN[name] for name, part in match.groupdict().items() if part is not None)
    if seconds == 0:
        raise UnitError(f"time: {text!r} is nothing; leave the field out where a job needs no limit")
    return seconds


def format_time(seconds: int) -> str:
    """Write `seconds` as ``HH:MM:SS``, or from a day on as ``D-HH:MM:SS``; `parse_time` and Slurm read it back.

    Raises:
        UnitError: `seconds` is not positive.

    """
    if seconds <= 0:
        raise UnitError(f"time: {seconds} seconds is not a limit that can be asked for")
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    clock = f"{hour:02}:{minute:02}:{second:02}"
    return f"{days}-{clock}" if days else clock
