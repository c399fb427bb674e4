"""Progress of a build as lines for a person to read, however many derivations there are."""

from __future__ import annotations

import time
from collections.abc import Callable

from airflow_provider_repx.building.structured_log import (
    BuildLogLine,
    BuildStarted,
    CopyStarted,
    Message,
    NixEvent,
    Progress,
    derivation_name,
)

__all__ = ["BuildProgress"]

_WARNING_LEVEL = 1


class BuildProgress:
    """Turns events into lines: ``building 3/12 <derivation name>``, builders' output, warnings.

    Lines about progress come at most once in `interval` seconds; what builders write comes in full. The number behind
    the slash changes while Nix finds out what there is to do.
    """

    def __init__(
        self, log: Callable[[str], None], *, interval: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._interval = interval
        self._clock = clock
        self._last: float | None = None
        self._started = 0
        self._expected = 0
        self._copied = 0

    def __call__(self, event: NixEvent) -> None:
        """Take an event, and log what it is worth."""
        if isinstance(event, Progress):
            self._expected = event.expected
        elif isinstance(event, BuildStarted):
            self._started += 1
            total = max(self._expected, self._started)
            self._paced(f"building {self._started}/{total} {derivation_name(event.derivation)}")
        elif isinstance(event, CopyStarted):
            self._copied += 1
            self._paced(f"{event.text} ({self._copied} so far)")
        elif isinstance(event, BuildLogLine):
            self._log(f"{derivation_name(event.derivation) or 'builder'}> {event.line}")
        elif isinstance(event, Message) and event.level <= _WARNING_LEVEL and not event.is_error:
            self._log(event.text)

    def finish(self) -> None:
        """Log the total; a build that had nothing to do says so."""
        if self._started:
            self._log(f"built {self._started} derivation{'s' if self._started > 1 else ''}")
        else:
            self._log("nothing to build: everything was there")

    def _paced(self, line: str) -> None:
        now = self._clock()
        if self._last is None or now - self._last >= self._interval:
            self._last = now
            self._log(line)
