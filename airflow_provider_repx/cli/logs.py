"""What Airflow logs while a command works: warnings and errors on stderr, nothing on stdout, which programs read."""

from __future__ import annotations

import sys

import structlog

__all__ = ["send_logs_to_stderr"]


class _StandardError:
    """A structlog logger that looks for stderr each time, since tests and pagers replace it."""

    def msg(self, message: str) -> None:
        print(message, file=sys.stderr)

    def pass_over(self, message: str) -> None:
        """Nobody has asked how Airflow does what it is told."""

    debug = info = pass_over
    warn = warning = error = err = fatal = critical = exception = failure = log = msg


def send_logs_to_stderr() -> None:
    """Have every logger of Airflow that has not been used yet write to stderr, from warnings upwards."""
    structlog.configure(logger_factory=lambda *_: _StandardError())
