"""A lab's folder as it is shipped: its files by content, its links and its folders."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_repx.errors import LabError, LabIntegrityError, LabPathError
from airflow_provider_repx.lab.lab import Lab
from airflow_provider_repx.lab.models import Manifest
from airflow_provider_repx.lab.parsing import parse
from airflow_provider_repx.lab.source import DirectorySource

__all__ = ["LabContents", "LabFile", "read_contents"]


@dataclass(frozen=True)
class LabFile:
    """One regular file; `path` is relative to the lab, `size` in bytes."""

    path: str
    sha256: str
    executable: bool
    size: int

    @property
    def content(self) -> str:
        """The name under which a target keeps the content: files that are equal in every way share it."""
        return f"{self.sha256[:2]}/{self.sha256}{'x' if self.executable else ''}"


@dataclass(frozen=True)
class LabContents:
    """Everything in a lab's folder; `links` are pairs of path and target, `manifest` is a path."""

    root: Path
    manifest: str
    manifest_sha256: str
    folders: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    files: tuple[LabFile, ...]


def read_contents(lab: Lab) -> LabContents:
    """List a lab's folder. What the manifest lists is not hashed here: the target compares it with the manifest.

    Raises:
        LabError: the lab is an archive.
        LabPathError: a link leads out of the lab.
        LabIntegrityError: something is neither file, link nor folder, or cannot be read.

    """
    if not lab.is_directory:
        raise LabError(f"{lab.path}: this lab is an archive, which cannot be shipped to a target: unpack it first")
    source = DirectorySource(lab.path)
    manifest = source.read(source.manifest)
    known = {entry.path: entry.sha256 for entry in parse(Manifest, manifest, source.shown(source.manifest)).files}
    known[source.manifest] = hashlib.sha256(manifest).hexdigest()
    folders: list[str] = []
    links: list[tuple[str, str]] = []
    files: list[LabFile] = []
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry in _entries(lab.path, folder):
            path = f"{folder}{entry.name}"
            if entry.is_symlink():
                links.append((path, _link(lab.path, path)))
            elif entry.is_dir(follow_symlinks=False):
                folders.append(path)
                waiting.append(f"{path}/")
            else:
                files.append(_file(source, path, entry.stat(follow_symlinks=False), known.get(path)))
    return LabContents(
        lab.path, source.manifest, known[source.manifest], tuple(sorted(folders)), tuple(links), tuple(files)
    )


def _entries(root: Path, folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root / folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise LabIntegrityError(f"{root / folder}: cannot be read: {error.strerror}") from error


def _link(root: Path, path: str) -> str:
    target = str((root / path).readlink())
    inside = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120 - text only
    if os.path.isabs(target) or inside.startswith(".."):  # noqa: PTH117 - text only
        raise LabPathError(
            f"{root / path}: a symbolic link leads out of the lab, to {target!r}; a lab that is shipped holds all"
            " of its files"
        )
    return target


def _file(source: DirectorySource, path: str, status: os.stat_result, sha256: str | None) -> LabFile:
    if not stat.S_ISREG(status.st_mode):
        raise LabIntegrityError(f"{source.shown(path)}: neither a file nor a folder nor a link; build the lab again")
    executable = bool(status.st_mode & stat.S_IXUSR)
    return LabFile(path, sha256 or source.digest(path, {}), executable, status.st_size)
