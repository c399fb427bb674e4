"""What a user did wrong, found while a lab is written."""

from __future__ import annotations

__all__ = ["BlueprintError"]


class BlueprintError(Exception):
    """The lab cannot be built as it is written; the message says where and why."""
