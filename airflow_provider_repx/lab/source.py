"""Where a lab's files are read from: a directory. `TarSource` in `tar_source` is its sibling."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, Protocol

from airflow_provider_repx.errors import LabFormatError, LabIntegrityError, LabNotFoundError, LabPathError
from airflow_provider_repx.lab.integrity import confined

__all__ = ["MANIFEST_SUFFIX", "DirectorySource", "LabSource", "hash_stream", "only_manifest"]

MANIFEST_SUFFIX = "lab-metadata.json"
"""The manifest is whichever file of ``lab/`` has a name that ends so; older labs put a hash in front."""

_BLOCK = 1 << 20


class LabSource(Protocol):
    """The files of one lab. Every path that goes in or comes out is relative to the lab."""

    @property
    def path(self) -> Path:
        """The real path of the directory or archive."""

    @property
    def is_directory(self) -> bool:
        """Whether the files are there to be run; those of an archive are not."""

    @property
    def manifest(self) -> str:
        """The manifest's path."""

    def shown(self, relative: str) -> str:
        """What messages call a file."""

    def locate(self, relative: str) -> str:
        """The path of the file or folder that `relative` is or links to.

        Raises:
            LabPathError: it is outside the lab.
            LabIntegrityError: there is nothing.

        """

    def read(self, relative: str) -> bytes:
        """The content of a file; raises like `locate`."""

    def digest(self, relative: str, known: dict[object, str]) -> str:
        """The SHA-256 of a file in lower-case hexadecimal; raises like `locate`.

        `known` keeps the digests of one sweep over many files, so that hard links are hashed once.
        """


class DirectorySource:
    """A lab that is a directory, normally in the Nix store."""

    is_directory = True

    def __init__(self, path: Path, manifest_name: str | None = None) -> None:
        """Open the lab at `path`; `manifest_name` chooses a manifest among several.

        Raises:
            LabNotFoundError: there is no directory, or no manifest in it.
            LabFormatError: it has several manifests.

        """
        self.path = path.resolve()
        self._root = str(self.path)
        self.manifest = f"lab/{manifest_name or only_manifest(self._manifest_names(), path)}"

    def _manifest_names(self) -> list[str]:
        try:
            return [file.name for file in (self.path / "lab").iterdir() if file.name.endswith(MANIFEST_SUFFIX)]
        except OSError as error:
            raise LabNotFoundError(
                f"{self.path}: not a lab: it has no readable folder 'lab' ({error.strerror}); give the directory that "
                "building a lab made"
            ) from error

    def shown(self, relative: str) -> str:
        """What messages call a file."""
        return f"{self._root}/{relative}"

    def locate(self, relative: str) -> str:
        """The path of what `relative` is or links to."""
        return self._find(relative)[0][len(self._root) + 1 :]

    def _find(self, relative: str) -> tuple[str, os.stat_result]:
        shown = self.shown(relative)
        real = os.path.realpath(os.path.join(self._root, confined(relative, shown)))  # noqa: PTH118 - for every file
        if not real.startswith(self._root + "/"):
            raise LabPathError(
                f"{shown}: a symbolic link leads out of the lab, to {real}; a lab holds all of its files"
            )
        try:
            return real, os.stat(real)  # noqa: PTH116 - for every file
        except FileNotFoundError as error:
            raise LabIntegrityError(f"{shown}: missing; build the lab or copy it again") from error
        except OSError as error:
            raise LabIntegrityError(f"{shown}: cannot be read: {error.strerror}") from error

    def _open(self, relative: str) -> tuple[BinaryIO, os.stat_result]:
        real, status = self._find(relative)
        # Opening a named pipe would wait for a writer for ever.
        if not stat.S_ISREG(status.st_mode):
            raise LabIntegrityError(f"{self.shown(relative)}: not a regular file")
        try:
            return open(real, "rb"), status  # noqa: PTH123 - the callers close it
        except OSError as error:
            raise LabIntegrityError(f"{self.shown(relative)}: cannot be read: {error.strerror}") from error

    def read(self, relative: str) -> bytes:
        """The content of a file."""
        stream, _ = self._open(relative)
        with stream:
            return stream.read()

    def digest(self, relative: str, known: dict[object, str]) -> str:
        """The SHA-256 of a file."""
        stream, status = self._open(relative)
        with stream:
            identity = (status.st_dev, status.st_ino)
            if identity not in known:
                known[identity] = hash_stream(stream)
            return known[identity]


def hash_stream(stream: BinaryIO, size: int | None = None) -> str:
    """The SHA-256 of the next `size` bytes (default: all) of a stream, in lower-case hexadecimal."""
    digest = hashlib.sha256()
    left = size
    while block := stream.read(_BLOCK if left is None else min(_BLOCK, left)):
        digest.update(block)
        if left is not None:
            left -= len(block)
    return digest.hexdigest()


def only_manifest(names: list[str], lab: Path) -> str:
    """The one manifest among the files of a lab's folder ``lab``.

    Raises:
        LabNotFoundError: there is none.
        LabFormatError: there are several.

    """
    if not names:
        raise LabNotFoundError(f"{lab}: not a lab: its folder 'lab' has no file whose name ends in {MANIFEST_SUFFIX}")
    if len(names) > 1:
        listed = ", ".join(sorted(names))
        raise LabFormatError(f"{lab}: several manifests in its folder 'lab': {listed}; give the path of one of them")
    return names[0]
