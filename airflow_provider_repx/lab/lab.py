"""An evaluated lab: what is in it, read as it is asked for."""

from __future__ import annotations

import difflib
import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_repx.errors import LabError, LabLookupError, TargetError
from airflow_provider_repx.lab.checks import check_run
from airflow_provider_repx.lab.integrity import Checksums, confined
from airflow_provider_repx.lab.models import LabReference, Manifest, RootMetadata, Run, RunDependency, RunMetadata
from airflow_provider_repx.lab.parsing import Problem, collection_paused, parse, raise_for
from airflow_provider_repx.lab.verification import verify_lab

if TYPE_CHECKING:
    from airflow_provider_repx.execution.store.results import Results
    from airflow_provider_repx.lab.source import LabSource

__all__ = ["Lab"]

_BASE_PATH_VARIABLE = "AIRFLOW__REPX__BASE_PATH"

_RUN_FILE = re.compile(r"(?:.*/)?(?:[0-9a-df-np-sv-z]{32}-)?metadata-(?P<run>[^/\x00-\x1f]+)\.json")
"""A run is known by its file's name alone, so that the file need not be read; RepX before 0.5 puts a hash in front."""

_LAB_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+?=-]*")


class Lab:
    """One lab. Get one from `read_lab`.

    The manifest and the root metadata have been read and verified; a run is read, verified and checked when it is first
    asked for, and kept. Safe to use from several threads.

    Attributes:
        path: The real path of the lab's directory (or archive), so that it stays this lab when a link to it moves on.
        is_directory: Whether it is a directory; from an archive nothing can be run.
        lab_id: The lab's identity, from its manifest.
        version: The version of the lab format that the manifest states.
        git_hash: The revision of the source that the lab was built from.
        repx_version: The version of RepX (or of this package's Nix library) that wrote it.
        run_names: All runs, upstream runs first.
        groups: The runs of each group.

    """

    def __init__(self, source: LabSource) -> None:
        """Read manifest and root metadata from `source`; raises like `read_lab`."""
        self._source = source
        self._lock = threading.RLock()
        self._runs: dict[str, Run] = {}
        self._checked_files: dict[str, Path] = {}
        self.path = source.path
        self.is_directory = source.is_directory
        shown = source.shown(source.manifest)
        self._manifest = parse(Manifest, source.read(source.manifest), shown)
        if _LAB_ID.fullmatch(self._manifest.lab_id) is None:
            text = f"{self._manifest.lab_id!r} is not an id: letters, digits and any of ._+?=-"
            raise_for([Problem("", "labId", text)], shown, None)
        with collection_paused():
            self._checksums = Checksums({entry.path: entry.sha256 for entry in self._manifest.files}, shown)
        root = parse(RootMetadata, self._read(self._manifest.metadata), source.shown(self._manifest.metadata))
        self._run_files = _run_files(root, source.shown(self._manifest.metadata))
        self.lab_id = self._manifest.lab_id
        self.version = self._manifest.lab_version
        self.git_hash = root.git_hash
        self.repx_version = root.repx_version
        self.run_names = tuple(self._run_files)
        self.groups: Mapping[str, tuple[str, ...]] = root.groups

    def __repr__(self) -> str:
        return f"Lab({str(self.path)!r}, lab_id={self.lab_id!r}, runs={len(self.run_names)})"

    def run(self, name: str) -> Run:
        """The run called `name`; reads its file the first time, and no other.

        Raises:
            LabLookupError: there is no such run.
            LabFormatError: its file is malformed; every malformed field is named.
            LabIntegrityError: its file is missing or is not what the manifest promises.
            LabPathError: a path in it leaves the lab.

        """
        self._must_know(name)
        with self._lock:
            if name not in self._runs:
                with collection_paused():
                    self._runs[name] = self._read_run(name)
            return self._runs[name]

    def checksum_of_run(self, name: str) -> str | None:
        """The SHA-256 (hex) that the manifest states for a run's file, unread; `None` where it states none.

        Raises:
            LabLookupError: there is no such run.

        """
        self._must_know(name)
        return self._checksums.listed(self._run_files[name])

    def runs_in_group(self, group: str) -> tuple[str, ...]:
        """The names of the runs of `group`, upstream runs first.

        Raises:
            LabLookupError: there is no such group.

        """
        if group not in self.groups:
            raise LabLookupError(_unknown("group", group, self.groups, self.path))
        members = frozenset(self.groups[group])
        return tuple(name for name in self.run_names if name in members)

    def reference(self, name: str) -> LabReference:
        """What tasks carry to find this very lab again; `name` is the name that it is configured under."""
        return LabReference(name=name, path=self.path, lab_id=self.lab_id)

    def file(self, relative: str) -> Path:
        """The absolute path of a file of the lab, once its content has been verified (once per `Lab`).

        Raises:
            LabError: the lab is an archive.
            LabPathError: the path leaves the lab.
            LabIntegrityError: the file is missing or is not what the manifest promises.

        """
        if not self.is_directory:
            raise LabError(f"{self.path}: this lab is an archive, whose files cannot be used in place: unpack it first")
        with self._lock:
            if relative not in self._checked_files:
                shown = self._source.shown(relative)
                real = self._source.locate(relative)
                found = self._source.digest(relative, {})
                self._checksums.check(confined(relative, shown), real, found, shown)
                self._checked_files[relative] = self.path / real
            return self._checked_files[relative]

    def verify(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Check the whole lab: every file that the manifest lists, every run, image and job directory.

        Args:
            progress: Called after each file with how many are done and how many there are.

        Returns:
            How many files were verified.

        Raises:
            LabIntegrityError: files are missing or changed; the message names them.
            LabPathError: a path or symbolic link leaves the lab.
            LabFormatError: a run is malformed.

        """
        return verify_lab(self, self._source, self._manifest.files, progress)

    def results(self, run: str, base_path: Path | str | None = None) -> Results:
        """The outputs of `run` in the output store under `base_path`.

        Args:
            run: A run of this lab.
            base_path: Where the target keeps its store; default: what the provider is configured with in the
                environment variable ``AIRFLOW__REPX__BASE_PATH``.

        Raises:
            LabLookupError: there is no such run.
            TargetError: no base path is given or configured.

        """
        self._must_know(run)
        chosen = base_path or os.environ.get(_BASE_PATH_VARIABLE)
        if not chosen:
            raise TargetError(
                f"where are the outputs of the run {run!r}? Pass base_path, the folder that holds 'outputs', or set "
                f"{_BASE_PATH_VARIABLE}"
            )
        # Imported here because the store is built upon this floor; only a notebook's convenience reaches up to it.
        from airflow_provider_repx.execution.store import OutputStore  # noqa: PLC0415 - see above
        from airflow_provider_repx.execution.store.results import results  # noqa: PLC0415 - see above

        return results(self, run, OutputStore(Path(chosen).expanduser().absolute()))

    def _read(self, relative: str) -> bytes:
        shown = self._source.shown(relative)
        content = self._source.read(relative)
        self._checksums.check_content(confined(relative, shown), self._source.locate(relative), content, shown)
        return content

    def _read_run(self, name: str) -> Run:
        relative = self._run_files[name]
        shown = self._source.shown(relative)
        metadata = parse(RunMetadata, self._read(relative), shown, name)
        if metadata.name != name:
            text = f"is {metadata.name!r}, but the file is called after {name!r}"
            raise_for([Problem("", "name", text)], shown, name)
        dependencies = self._dependencies(metadata, shown)
        check_run(metadata, [dependency.run for dependency in dependencies], shown)
        return Run(
            name=name,
            metadata=relative,
            git_hash=metadata.git_hash,
            dependencies=dependencies,
            image=metadata.image,
            jobs=metadata.jobs,
        )

    def _dependencies(self, metadata: RunMetadata, shown: str) -> tuple[RunDependency, ...]:
        names = {relative: name for name, relative in self._run_files.items()}
        problems = []
        for relative in metadata.dependencies:
            if names.get(relative) == metadata.name:
                problems.append(Problem("", "dependencies", f"{relative!r} is the run itself"))
            elif relative not in names:
                if upstream := self._left_out(relative):
                    names[relative] = upstream
                    continue
                known = ", ".join(names)
                problems.append(Problem("", "dependencies", f"{relative!r} is not a run of this lab; runs: {known}"))
        raise_for(problems, shown, metadata.name)
        return tuple(RunDependency(names[relative], kind) for relative, kind in metadata.dependencies.items())

    def _left_out(self, relative: str) -> str | None:
        """The run of a file that a slice of a lab carries for the runs that depend on it, without listing it."""
        match = _RUN_FILE.fullmatch(relative)
        if match is None or not self._checksums.lists(relative):
            return None
        self._run_files.setdefault(match["run"], relative)
        return match["run"]

    def _must_know(self, name: str) -> None:
        if name not in self._run_files:
            raise LabLookupError(_unknown("run", name, self._run_files, self.path))


def _run_files(root: RootMetadata, shown: str) -> dict[str, str]:
    """The path of each run's file by the run's name, in the root's order."""
    files: dict[str, str] = {}
    problems = []
    for index, relative in enumerate(root.runs):
        match = _RUN_FILE.fullmatch(relative)
        if match is None:
            text = f"{relative!r} is not called metadata-<run>.json"
            problems.append(Problem("", f"runs[{index}]", text))
        elif match["run"] in files:
            problems.append(Problem("", f"runs[{index}]", f"a second run called {match['run']!r}"))
        else:
            files[match["run"]] = relative
    for group, members in root.groups.items():
        for member in members:
            if member not in files:
                text = f"{member!r} is not a run of this lab; runs: {', '.join(files) or 'none'}"
                problems.append(Problem("", f"groups.{group}", text))
    raise_for(problems, shown, None)
    return files


def _unknown(kind: str, name: str, known: Mapping[str, object], path: Path) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    advice = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return f"{path}: no {kind} called {name!r}{advice}; known: {', '.join(known) or 'none'}"
