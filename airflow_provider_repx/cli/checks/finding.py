"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "broken", "ok", "warning"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: `broken` means that runs will fail or never begin."""

    level: Literal["ok", "warning", "broken"]
    subject: str
    text: str


def ok(subject: str, text: str) -> Finding:
    """All is well."""
    return Finding("ok", subject, text)


def warning(subject: str, text: str) -> Finding:
    """Something that will do for now, or that not everybody needs."""
    return Finding("warning", subject, text)


def broken(subject: str, text: str) -> Finding:
    """Something that has to be repaired; the text says how."""
    return Finding("broken", subject, text)
