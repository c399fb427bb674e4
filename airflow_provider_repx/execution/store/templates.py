"""Templates of outputs: paths with ``$out`` for the folder of results."""

from __future__ import annotations

__all__ = ["expand_output"]


def expand_output(template: str, out: str) -> str:
    """The path that an output template stands for; `out` is the folder of results."""
    # In one pass, so that a folder whose own name contains "$out" is left alone.
    return out.join(part.replace("${out}", out) for part in template.split("$out"))
