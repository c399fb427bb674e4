"""The nix command: build, evaluate, ask about store paths, keep them from the garbage collector."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_repx.building.failures import Transcript, failure
from airflow_provider_repx.building.installables import FlakeSource, NixSource, StorePathSource
from airflow_provider_repx.building.process import ProcessRunner
from airflow_provider_repx.building.settings import PrivateStore, nix_environment
from airflow_provider_repx.building.structured_log import NixEvent, StructuredLog
from airflow_provider_repx.errors import (
    CommandError,
    CommandKilledError,
    CommandTimeoutError,
    NixError,
    NixNotFoundError,
    NixTimeoutError,
)

__all__ = ["BuildResult", "EventCallback", "Nix", "PathInfo", "find_nix"]

EventCallback = Callable[[NixEvent], None]

_log = logging.getLogger(__name__)

_QUERY_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class BuildResult:
    """What a build made. `drv_path` is unknown for store paths; `out_link` is the root that was asked for."""

    out_path: Path
    drv_path: Path | None
    out_link: Path | None


@dataclass(frozen=True)
class PathInfo:
    """What the store knows about a path. `nar_size` is in bytes."""

    path: Path
    nar_hash: str
    nar_size: int
    references: tuple[Path, ...]
    deriver: Path | None


def find_nix() -> Path:
    """The nix command: on PATH, else where the installers put it.

    Raises:
        NixNotFoundError: there is none; the message says how to get it.
    """
    # Not Path.home(), which raises for a user without an entry in the user database.
    home = Path(os.environ.get("HOME") or "/")
    usual = (home / ".nix-profile/bin/nix", Path("/nix/var/nix/profiles/default/bin/nix"))
    if found := shutil.which("nix"):
        return Path(found)
    for candidate in usual:
        if os.access(candidate, os.X_OK):
            return candidate
    raise NixNotFoundError(
        f"no nix command on PATH, nor as {' or '.join(map(str, usual))}. On Debian or Ubuntu: apt-get install nix-bin. "
        "Elsewhere: the installer from https://nixos.org/download"
    )


@dataclass(frozen=True)
class Nix:
    """A nix command and how to call it.

    `private_store` is a directory that holds a store of one's own (see `PrivateStore`); `None` means the machine's.
    The network is not used unless `allow_network` is set: no substituters, registries, remote builders, downloads.
    (With a daemon, what the *daemon* does for derivations with a fixed output is up to its own settings.) `timeout` is
    in seconds and holds for one build. `max_jobs` is how many derivations are built at once; `None` leaves it to Nix.
    """

    executable: Path
    private_store: Path | None = None
    allow_network: bool = False
    timeout: float = 3600.0
    max_jobs: int | None = None
    runner: ProcessRunner = field(default_factory=ProcessRunner, compare=False, repr=False)

    @classmethod
    def find(
        cls,
        *,
        private_store: Path | None = None,
        allow_network: bool = False,
        timeout: float = 3600.0,
        max_jobs: int | None = None,
    ) -> Nix:
        """The nix command of this machine, with these settings; raises `NixNotFoundError`."""
        return cls(find_nix(), private_store, allow_network, timeout, max_jobs)

    @property
    def store(self) -> PrivateStore | None:
        """The private store with absolute paths, or `None` for the machine's store."""
        return None if self.private_store is None else PrivateStore(self.private_store.expanduser().absolute())

    @property
    def version(self) -> str:
        """The version of the command, such as ``2.8.0``."""
        output = self._run(["--version"], "its version", self._quick_timeout, None)
        return output.strip().rsplit(" ", 1)[-1]

    def environment(self) -> Mapping[str, str]:
        """The environment in which this command, and others of Nix's, use the same store and settings."""
        return nix_environment(
            os.environ, private_store=self.store, allow_network=self.allow_network, max_jobs=self.max_jobs
        )

    def build(
        self, source: NixSource | str, *, out_link: Path | None = None, on_event: EventCallback | None = None
    ) -> BuildResult:
        """Build a derivation; `source` given as text is a flake reference.

        `out_link` becomes a link to the result and a root of the garbage collector. Nix swaps it in one step and only
        after the build has succeeded, so whoever reads it sees the old lab or the new one. The link's previous target
        loses its root: keep it with `gc_roots.keep` while it is in use. Without a link, the result may be collected.

        Raises:
            NixEvaluationError: it does not evaluate. NixMissingAttributeError: there is no such attribute.
            NixBuildError: a builder failed; the message has the last lines of its log.
            NixTimeoutError: not finished within `timeout`. NixTransientError: worth a retry.
            NixError: anything else, such as an out link that is in the way.
            CommandKilledError: `kill` was called.
        """
        source = FlakeSource(source) if isinstance(source, str) else source
        link = _prepared_link(out_link)
        arguments = ["build", "--json", *(["--out-link", str(link)] if link else ["--no-link"]), *source.arguments]
        _log.debug("Building %s", source)
        output = self._run(arguments, str(source), self.timeout, on_event)
        result = _build_result(output, source, link)
        if link is not None and (target := link.readlink()) != result.out_path:
            raise NixError(f"{link} points to {target} although {source} was built as {result.out_path}")
        return result

    def eval(self, source: NixSource | str, *, apply: str | None = None) -> Any:
        """The value of an attribute as JSON data; `apply` is a Nix function that it is passed to first.

        Raises:
            NixEvaluationError, NixMissingAttributeError, NixTimeoutError, NixTransientError: as for `build`.
        """
        source = FlakeSource(source) if isinstance(source, str) else source
        arguments = ["eval", "--json", *(["--apply", apply] if apply else []), *source.arguments]
        output = self._run(arguments, str(source), self.timeout, None)
        return _json(output, str(source))

    def path_info(self, store_path: Path) -> PathInfo:
        """What the store knows about a path; raises `NixError` for a path that it does not hold."""
        output = self._run(["path-info", "--json", str(store_path)], str(store_path), self._quick_timeout, None)
        return _path_info(_json(output, str(store_path)), store_path)

    def add_root(self, store_path: Path, link: Path) -> None:
        """Make `link` point to a store path, in one step, and keep the path as long as the link is there.

        Raises:
            NixError: the path is not in the store, or the link is in the way.
        """
        self.build(StorePathSource(store_path), out_link=link)

    def kill(self) -> None:
        """Stop whatever this object is running, with all its processes, and run nothing more."""
        self.runner.kill()

    @property
    def _quick_timeout(self) -> float:
        return min(self.timeout, _QUERY_TIMEOUT_SECONDS)

    def _run(self, arguments: list[str], what: str, timeout: float, on_event: EventCallback | None) -> str:
        log, transcript = StructuredLog(), Transcript()

        def take(line: str) -> None:
            event = log.read(line)
            if event is None:
                return
            transcript.add(event)
            if on_event is not None:
                on_event(event)

        offline = [] if self.allow_network else ["--offline"]
        command = [str(self.executable), *arguments, *offline, "--log-format", "internal-json"]
        try:
            return self.runner.run(command, timeout=timeout, environment=self.environment(), on_line=take)
        except CommandTimeoutError as error:
            raise NixTimeoutError(
                f"{what}: nix did not finish within {timeout:g} s and was stopped. Allow more time, or look for a "
                "builder that hangs."
            ) from error
        except CommandKilledError:
            raise
        except CommandError as error:
            if error.exit_code is None:
                raise NixNotFoundError(f"{self.executable} cannot be run: {error}") from error
            raise failure(transcript, what, network_allowed=self.allow_network) from error


def _prepared_link(out_link: Path | None) -> Path | None:
    if out_link is None:
        return None
    link = out_link.expanduser().absolute()
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NixError(f"{link}: the folder for the link cannot be made: {error}") from error
    return link


def _json(output: str, what: str) -> Any:
    try:
        return json.loads(output)
    except ValueError as error:
        raise NixError(f"{what}: nix printed no JSON but {output[:200]!r}") from error


def _build_result(output: str, source: NixSource, link: Path | None) -> BuildResult:
    match _json(output, str(source)):
        case [{"outputs": {**outputs}, "drvPath": str(derivation)}, *_] if outputs:
            first = outputs.get("out") or next(iter(outputs.values()))
            return BuildResult(Path(str(first)), Path(derivation), link)
        case [{"path": str(path)}, *_] | [str(path), *_]:
            return BuildResult(Path(path), None, link)
        case _:
            raise NixError(f"{source}: nix build printed {output[:200]!r}, which names no result")


def _path_info(records: Any, store_path: Path) -> PathInfo:
    # A list up to Nix 2.18, since then an object by path; `null` or `valid: false` stands for a path that is not there.
    record = records[0] if isinstance(records, list) and records else None
    if isinstance(records, dict):
        record = next(iter(records.values()), None)
    if not isinstance(record, dict) or not record.get("valid", True):
        raise NixError(f"{store_path} is not in the Nix store")
    deriver = record.get("deriver")
    return PathInfo(
        path=store_path,
        nar_hash=str(record["narHash"]),
        nar_size=int(record["narSize"]),
        references=tuple(Path(path) for path in record["references"]),
        deriver=None if deriver is None else Path(deriver),
    )
