"""Nix's structured log, as `--log-format internal-json` writes it, turned into typed events.

The format is Nix's own and not documented; this follows `JSONLogger` and the enumerations `ActivityType` and
`ResultType` in Nix's `logging.hh` / `logging.cc`. Every line is ``@nix `` and a JSON object with an `action`:
`start` (`id`, `type`, `text`, `fields`), `stop` (`id`), `result` (`id`, `type`, `fields`), `msg` (`level`, `msg` and
for errors `raw_msg`). Newer versions of Nix add kinds and fields; what is not known is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = [
    "BuildFinished",
    "BuildLogLine",
    "BuildStarted",
    "CopyStarted",
    "Message",
    "NixEvent",
    "OtherLine",
    "Progress",
    "StructuredLog",
    "derivation_name",
    "without_ansi",
]

_PREFIX = "@nix "
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")

_ACTIVITY_COPY_PATH = 100
_ACTIVITY_BUILDS = 104
_ACTIVITY_BUILD = 105
_RESULT_BUILD_LOG_LINE = 101
_RESULT_PROGRESS = 105
_RESULT_POST_BUILD_LOG_LINE = 107
_LEVEL_ERROR = 0


@dataclass(frozen=True)
class BuildStarted:
    """The build of a derivation begins; `derivation` is the path of its `.drv` file."""

    derivation: str


@dataclass(frozen=True)
class BuildFinished:
    """The build of a derivation ended, well or not."""

    derivation: str


@dataclass(frozen=True)
class BuildLogLine:
    """A line that a builder wrote; `derivation` is empty where Nix does not say whose it is."""

    derivation: str
    line: str


@dataclass(frozen=True)
class CopyStarted:
    """A store path is being copied, usually downloaded; `text` is Nix's description."""

    text: str


@dataclass(frozen=True)
class Progress:
    """How many derivations are built, known to be needed, being built, and failed."""

    done: int
    expected: int
    running: int
    failed: int


@dataclass(frozen=True)
class Message:
    """A message without terminal codes. `text` is all of it; `summary` of an error leaves out position and trace."""

    level: int
    text: str
    summary: str

    @property
    def is_error(self) -> bool:
        """Whether Nix reports a failure with it."""
        return self.level == _LEVEL_ERROR and self.text.startswith("error")


@dataclass(frozen=True)
class OtherLine:
    """A line that is not part of the structured log, such as a complaint about the command line."""

    text: str


NixEvent: TypeAlias = BuildStarted | BuildFinished | BuildLogLine | CopyStarted | Progress | Message | OtherLine


class StructuredLog:
    """Reads the lines of one nix command, in order. It remembers which activity builds which derivation."""

    def __init__(self) -> None:
        self._derivations: dict[int, str] = {}
        self._builds: set[int] = set()

    def read(self, line: str) -> NixEvent | None:
        """The event that a line tells of, or `None` where it says nothing of interest or is of an unknown kind."""
        if (record := _record(line)) is None:
            text = without_ansi(line).rstrip()
            return OtherLine(text) if text else None
        match record:
            case {"action": "msg", "level": int(level), "msg": str(text)}:
                return _message(level, text, record.get("raw_msg"))
            case {"action": "start", "id": int(number)}:
                return self._start(number, record)
            case {"action": "result", "id": int(number)}:
                return self._result(number, record)
            case {"action": "stop", "id": int(number)}:
                return self._stop(number)
        return None

    def _stop(self, number: int) -> NixEvent | None:
        self._builds.discard(number)
        derivation = self._derivations.pop(number, None)
        return None if derivation is None else BuildFinished(derivation)

    def _start(self, number: int, record: Mapping[str, Any]) -> NixEvent | None:
        kind = record.get("type")
        if kind == _ACTIVITY_BUILDS:
            self._builds.add(number)
        elif kind == _ACTIVITY_BUILD:
            fields = _fields(record)
            if fields and isinstance(fields[0], str):
                self._derivations[number] = fields[0]
                return BuildStarted(fields[0])
        elif kind == _ACTIVITY_COPY_PATH:
            return CopyStarted(without_ansi(str(record.get("text", ""))))
        return None

    def _result(self, number: int, record: Mapping[str, Any]) -> NixEvent | None:
        kind, fields = record.get("type"), _fields(record)
        if kind in (_RESULT_BUILD_LOG_LINE, _RESULT_POST_BUILD_LOG_LINE):
            if fields and isinstance(fields[0], str):
                return BuildLogLine(self._derivations.get(number, ""), without_ansi(fields[0]).rstrip())
        elif kind == _RESULT_PROGRESS and number in self._builds:
            counts = [field for field in fields[:4] if isinstance(field, int)]
            if len(counts) == 4:  # noqa: PLR2004 - done, expected, running, failed
                return Progress(*counts)
        return None


def without_ansi(text: str) -> str:
    """The text without terminal codes (colors, links)."""
    return _ANSI.sub("", text)


def derivation_name(path: str) -> str:
    """The name of a derivation: ``/nix/store/<hash>-lab-1.0.drv`` is ``lab-1.0``."""
    base = path.rsplit("/", 1)[-1].removesuffix(".drv")
    return re.sub(r"^[0-9a-z]{32}-", "", base)


def _record(line: str) -> Any:
    """The JSON value of a line, or `None` for a line that is not part of the structured log."""
    if not line.startswith(_PREFIX):
        return None
    try:
        return json.loads(line[len(_PREFIX) :])
    except ValueError:
        return None


def _fields(record: Mapping[str, Any]) -> list[Any]:
    fields = record.get("fields")
    return fields if isinstance(fields, list) else []


def _message(level: int, text: str, summary: object) -> Message:
    plain = without_ansi(text).strip()
    return Message(level, plain, without_ansi(summary).strip() if isinstance(summary, str) else _last_error(plain))


def _last_error(text: str) -> str:
    """What follows the last `error:` that begins a line; a trace, where there is one, comes before it."""
    return re.split(r"(?m)^\s*error: *", text)[-1].strip()
