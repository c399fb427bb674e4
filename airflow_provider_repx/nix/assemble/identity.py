"""Job ids: what a job's result depends on, as a digest in Nix's base 32.

Resources, the git hash and the common beginning of scripts are left out: changing them keeps results.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["digest", "identifier"]

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
_DIGITS = 52
_KEPT = 32


def digest(content: Any) -> str:
    """A hexadecimal SHA-256 over JSON data, equal for equal data."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def identifier(content: Any, name: str) -> str:
    """`<32 characters>-<name>`; the characters are the first of the SHA-256 as Nix writes it."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    value = int.from_bytes(hashlib.sha256(text.encode()).digest(), "little")
    return (
        "".join(_ALPHABET[(value >> (5 * place)) & 31] for place in range(_DIGITS - 1, _DIGITS - 1 - _KEPT, -1))
        + f"-{name}"
    )
