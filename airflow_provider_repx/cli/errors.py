"""How commands of `airflow repx` fail: one clear line, exit code 1."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

from airflow_provider_repx.errors import RepxError

__all__ = ["command"]

_P = ParamSpec("_P")


def command(function: Callable[_P, None]) -> Callable[_P, None]:
    """Turn a `RepxError`, or an error of the operating system, into its message on stderr and exit code 1."""

    @functools.wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except (RepxError, OSError) as error:
            print(f"[ERROR] {error}", file=sys.stderr)
            raise SystemExit(1) from error

    return wrapped
