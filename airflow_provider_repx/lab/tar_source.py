"""A lab inside an uncompressed tar archive, read in place."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_repx.errors import LabFormatError, LabIntegrityError, LabNotFoundError, LabPathError
from airflow_provider_repx.lab.integrity import confined
from airflow_provider_repx.lab.source import MANIFEST_SUFFIX, hash_stream, only_manifest

__all__ = ["TarSource"]

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_LINKS_FOLLOWED = 40


class TarSource:
    """A lab in a tar archive, under whatever folder precedes ``lab/`` in it (``name/``, ``./`` or nothing).

    Opening reads the headers only. Hard links and relative symbolic links are followed within the archive.
    """

    is_directory = False

    def __init__(self, path: Path) -> None:
        """Index the archive.

        Raises:
            LabFormatError: it is compressed, no tar archive, or holds several labs.
            LabNotFoundError: it holds no lab.
            LabPathError: a member's name or symbolic link leads out of the archive or is absolute.

        """
        self.path = path.resolve()
        members = self._index()
        names = self._manifests(members)
        prefix = posixpath.dirname(posixpath.dirname(names[0]))
        self._prefix = f"{prefix}/" if prefix else ""
        self._members = {
            name[len(self._prefix) :]: member for name, member in members.items() if name.startswith(self._prefix)
        }
        self.manifest = f"lab/{only_manifest([posixpath.basename(name) for name in names], path)}"
        self._folders = {parent for name in self._members for parent in _parents(name)}
        for name, member in self._members.items():
            if member.issym():
                self._link_target(name, member)

    def _index(self) -> dict[str, tarfile.TarInfo]:
        try:
            with tarfile.open(self.path, "r:") as archive:
                members = archive.getmembers()
        # What a damaged header makes the standard library raise is not limited to its own errors.
        except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
            raise LabFormatError(self._unreadable(error)) from error
        return {
            confined(member.name, str(self.path)): member
            for member in members
            if member.name.rstrip("/") not in {"", "."}
        }

    def _unreadable(self, error: Exception) -> str:
        try:
            with self.path.open("rb") as file:
                start = file.read(8)
        except OSError as unreadable:
            return f"{self.path}: cannot be read: {unreadable.strerror}"
        for magic, compression in _COMPRESSIONS.items():
            if start.startswith(magic):
                return (
                    f"{self.path}: compressed with {compression}; a lab archive is an uncompressed tar: decompress it"
                )
        return (
            f"{self.path}: neither a lab directory, nor a file whose name ends in {MANIFEST_SUFFIX}, nor an "
            f"uncompressed tar archive ({error})"
        )

    def _manifests(self, members: dict[str, tarfile.TarInfo]) -> list[str]:
        found = [
            name
            for name in members
            if name.endswith(MANIFEST_SUFFIX) and posixpath.basename(posixpath.dirname(name)) == "lab"
        ]
        if not found:
            raise LabNotFoundError(f"{self.path}: not a lab: no member called lab/...{MANIFEST_SUFFIX} in this archive")
        # A job may carry a folder of that name deeper inside; the lab's own is the outermost.
        depth = min(name.count("/") for name in found)
        outermost = [name for name in found if name.count("/") == depth]
        if len({posixpath.dirname(name) for name in outermost}) > 1:
            raise LabFormatError(f"{self.path}: several labs in one archive: {', '.join(sorted(outermost))}")
        return outermost

    def _link_target(self, name: str, member: tarfile.TarInfo) -> str:
        if member.islnk():
            target = posixpath.normpath(member.linkname)
            if not target.startswith(self._prefix):
                raise LabPathError(f"{self.shown(name)}: a hard link leads out of the lab, to {member.linkname!r}")
            return target[len(self._prefix) :]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        if posixpath.isabs(target) or target == ".." or target.startswith("../"):
            raise LabPathError(
                f"{self.shown(name)}: a symbolic link leads out of the lab, to {member.linkname!r}; links in an "
                "archive are relative and stay inside the lab"
            )
        return target

    def shown(self, relative: str) -> str:
        """What messages call a file."""
        return f"{self.path}:{self._prefix}{relative}"

    def locate(self, relative: str) -> str:
        """The path of what `relative` is or links to."""
        found = ""
        waiting = confined(relative, self.shown(relative)).split("/")
        links = 0
        while waiting:
            part = waiting.pop(0)
            if part == "..":
                found = posixpath.dirname(found)
                continue
            name = posixpath.join(found, part)
            member = self._members.get(name)
            if member is None or not (member.issym() or member.islnk()):
                found = name
                continue
            links += 1
            if links > _LINKS_FOLLOWED:
                raise LabIntegrityError(f"{self.shown(relative)}: too many links, one leads back to itself")
            waiting = self._link_target(name, member).split("/") + waiting
            found = ""
        if found not in self._members and found not in self._folders:
            raise LabIntegrityError(f"{self.shown(relative)}: missing from the archive")
        return found

    def _content(self, relative: str) -> tuple[str, tarfile.TarInfo]:
        name = self.locate(relative)
        member = self._members.get(name)
        if member is None or not member.isreg() or member.issparse():
            raise LabIntegrityError(f"{self.shown(relative)}: not a regular file")
        return name, member

    def read(self, relative: str) -> bytes:
        """The content of a file."""
        _, member = self._content(relative)
        try:
            with self.path.open("rb") as archive:
                archive.seek(member.offset_data)
                content = archive.read(member.size)
        except OSError as error:
            raise LabIntegrityError(f"{self.shown(relative)}: cannot be read: {error.strerror}") from error
        if len(content) != member.size:
            raise LabIntegrityError(f"{self.shown(relative)}: the archive ends within this file; copy it again")
        return content

    def digest(self, relative: str, known: dict[object, str]) -> str:
        """The SHA-256 of a file."""
        name, member = self._content(relative)
        if name not in known:
            try:
                with self.path.open("rb") as archive:
                    archive.seek(member.offset_data, io.SEEK_SET)
                    known[name] = hash_stream(archive, member.size)
            except OSError as error:
                raise LabIntegrityError(f"{self.shown(relative)}: cannot be read: {error.strerror}") from error
        return known[name]


def _parents(name: str) -> Iterator[str]:
    while name := posixpath.dirname(name):
        yield name
