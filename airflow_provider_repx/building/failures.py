"""Why a nix command failed, told from its structured log; every failure of nix exits with code 1.

The phrases are those of Nix 2.8 to 2.32. Errors of evaluation have no common phrase: they are what remains.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from airflow_provider_repx.building.structured_log import (
    BuildLogLine,
    Message,
    NixEvent,
    OtherLine,
    derivation_name,
)
from airflow_provider_repx.errors import (
    NixBuildError,
    NixError,
    NixEvaluationError,
    NixMissingAttributeError,
    NixTransientError,
)

__all__ = ["Transcript", "failure"]

_LOG_LINES_SHOWN = 25
_DERIVATIONS_REMEMBERED = 256

_DERIVATION = r"'(?P<derivation>[^']+\.drv)(?:[!^*][^']*)?'"
_BUILD_FAILED = re.compile(
    rf"^(?:builder for {_DERIVATION} failed"
    rf"|Cannot build {_DERIVATION.replace('derivation', 'cannot')}"
    rf"|build of {_DERIVATION.replace('derivation', 'remote')}.* failed"
    rf"|building of {_DERIVATION.replace('derivation', 'limited')}.* (?:timed out|stopped)"
    rf"|hash mismatch in fixed-output derivation {_DERIVATION.replace('derivation', 'fixed')}"
    rf"|derivation {_DERIVATION.replace('derivation', 'checked')} may not be deterministic"
    rf"|(?:a '[^']*' with features|a '[^']*' is required to build) .*{_DERIVATION.replace('derivation', 'foreign')}"
    r"|output '[^']*' is not allowed to refer"
    r"|path '[^']*' is not valid, so cannot be part of)",
    re.DOTALL,
)
_DEPENDENCY_FAILED = re.compile(
    r"dependenc(?:y|ies) of derivation '|Reason: \d+ dependenc|^Build failed due to failed dep"
)
_MISSING_ATTRIBUTE = re.compile(
    r"^(?:flake '.*' does not provide attribute|attribute '[^']*' in selection path '[^']*' not found)"
)
_NETWORK = re.compile(
    r"^(?:unable to download|cannot (?:fetch|download)|could not (?:fetch|resolve)|failed to (?:fetch|download)"
    r"|program 'git' failed|.* is an indirect flake reference, but registry lookups are not allowed"
    r"|cannot find flake '.*' in the flake registries"
    r"|(?:opening a connection|error communicating with))"
)
_NETWORK_FOR_GOOD = re.compile(r"HTTP error (?!408|429)4\d\d|registr")
_BUSY = re.compile(
    r"database (?:'.*' )?is (?:busy|locked)"
    r"|^(?:cannot (?:open connection to|connect to)|Nix daemon disconnected|unexpected end-of-file)"
)
_LINK_IN_THE_WAY = re.compile(r"^cannot create symlink")
_MACHINE = re.compile(
    r"Permission denied|Operation not permitted|Read-only file system|No space left on device"
    r"|^path '.*' (?:is required, but there is no substituter|is not valid)|^don't know how to build"
)
_OTHER_FAILURES: tuple[tuple[re.Pattern[str], type[NixError], str], ...] = (
    (
        _MISSING_ATTRIBUTE,
        NixMissingAttributeError,
        "{what}: {summary}. Correct the attribute, or add it to the flake or file.",
    ),
    (
        _BUSY,
        NixTransientError,
        "{what}: {summary}. Another nix command or the daemon is in the way; try again.",
    ),
    (
        _LINK_IN_THE_WAY,
        NixError,
        "{what}: {summary}, and it is no link into this store. Remove it, or name another link.",
    ),
    (_MACHINE, NixError, "{what}: {summary}"),
)


@dataclass
class Transcript:
    """What is worth remembering of a command's log until it is known how the command ended."""

    errors: list[Message] = field(default_factory=list)
    _other: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES_SHOWN))
    _logs: OrderedDict[str, deque[str]] = field(default_factory=OrderedDict)

    def add(self, event: NixEvent) -> None:
        """Take note of an event."""
        if isinstance(event, Message) and event.is_error:
            self.errors.append(event)
        elif isinstance(event, OtherLine):
            self._other.append(event.text)
        elif isinstance(event, BuildLogLine):
            if event.derivation not in self._logs and len(self._logs) >= _DERIVATIONS_REMEMBERED:
                self._logs.popitem(last=False)
            self._logs.setdefault(event.derivation, deque(maxlen=_LOG_LINES_SHOWN)).append(event.line)

    def last_lines(self, derivation: str) -> tuple[str, ...]:
        """The last lines that the builder of a derivation wrote."""
        return tuple(self._logs.get(derivation, ()))

    @property
    def unstructured(self) -> str:
        """The last lines that were not part of the structured log."""
        return "\n".join(self._other)


def failure(transcript: Transcript, what: str, *, network_allowed: bool) -> NixError:
    """The exception for a nix command that failed; `what` says what it was to build or evaluate."""
    if broken := _broken_builds(transcript):
        return _build_failure(transcript, broken, what)
    if not transcript.errors:
        return NixError(f"nix failed on {what}: {transcript.unstructured or 'it gave no reason'}")
    error = transcript.errors[-1]
    if _NETWORK.search(error.summary):
        return _network_failure(error, what, network_allowed=network_allowed)
    for phrase, kind, template in _OTHER_FAILURES:
        if phrase.search(error.summary):
            return kind(template.format(what=what, summary=error.summary))
    return NixEvaluationError(f"{what} does not evaluate: {error.text.removeprefix('error:').strip()}")


def _broken_builds(transcript: Transcript) -> list[tuple[Message, str]]:
    """The errors of builders that failed themselves, each with its derivation; the followers' are left out."""
    found = []
    for error in transcript.errors:
        match = _BUILD_FAILED.search(error.summary)
        if match is not None and not _DEPENDENCY_FAILED.search(error.summary):
            found.append((error, next((path for path in match.groupdict().values() if path), "")))
    if not found:
        found = [(error, "") for error in transcript.errors if _DEPENDENCY_FAILED.search(error.summary)]
    return found


def _build_failure(transcript: Transcript, broken: list[tuple[Message, str]], what: str) -> NixBuildError:
    error, derivation = broken[0]
    lines = [f"{what}: derivation {derivation_name(derivation)!r} failed to build: {error.summary}"]
    if not derivation:
        lines = [f"{what} failed to build: {error.summary}"]
    if log := transcript.last_lines(derivation):
        lines.append(f"Last {len(log)} lines of its log:")
        lines += [f"  > {line}" for line in log]
    others = sorted({derivation_name(path) for _, path in broken[1:] if path and path != derivation})
    if others:
        lines.append(f"Failed as well: {', '.join(others)}")
    if derivation:
        lines.append(f"Its whole log: nix log {derivation}")
    return NixBuildError("\n".join(lines))


def _network_failure(error: Message, what: str, *, network_allowed: bool) -> NixError:
    if not network_allowed:
        return NixEvaluationError(
            f"{what} needs the network: {error.summary}. Pass allow_network=True, or fetch the inputs beforehand."
        )
    if _NETWORK_FOR_GOOD.search(error.summary):
        return NixEvaluationError(f"{what}: {error.summary}")
    return NixTransientError(f"{what}: {error.summary}. Is the network there? Try again.")
