"""Free space, in words."""

from __future__ import annotations

from airflow_provider_repx.lab import format_memory

__all__ = ["LITTLE_SPACE", "round_amount"]

LITTLE_SPACE = 2**30
"""Bytes below which somebody should know."""


def round_amount(amount: int) -> str:
    """An amount of bytes in the largest unit that it fills, rounded down."""
    for unit in (2**40, 2**30, 2**20):
        if amount >= unit:
            return format_memory(amount // unit * unit)
    return f"{amount}B"
