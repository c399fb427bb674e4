"""Waiting for a condition with a deadline, never for a fixed time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from .errors import WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["wait_until"]

Value = TypeVar("Value")


def wait_until(
    condition: Callable[[], Value | None],
    *,
    timeout: float,
    what: str | Callable[[], str],
    interval: float = 0.25,
) -> Value:
    """Call `condition` until it returns something true, and return that.

    `timeout` and `interval` are in seconds; `what` names the condition in the error, and may be a function so that the
    error can tell what was last seen. Raises `WaitTimeoutError`.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            text = what() if callable(what) else what
            raise WaitTimeoutError(f"waited {timeout:g} s in vain for: {text}")
        time.sleep(interval)
