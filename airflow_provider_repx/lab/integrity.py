"""Paths stay inside their lab, and files are what the manifest says they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath

from airflow_provider_repx.errors import LabIntegrityError, LabPathError

__all__ = ["Checksums", "confined"]


def confined(relative: str, owner: str) -> str:
    """Return `relative`, a path that a lab's file names, in its normal form (no ``.``, no doubled slash).

    `owner` says in messages whose path it is. Only the text is judged here; where symbolic links lead is the source's
    business.

    Raises:
        LabPathError: it is empty, absolute, holds ``..`` or a NUL character.

    """
    reason = _reason_to_refuse(relative)
    if reason is not None:
        raise LabPathError(f"{owner}: the path {relative!r} {reason}; paths in a lab are relative and stay inside it")
    return PurePosixPath(relative).as_posix()


def _reason_to_refuse(relative: str) -> str | None:
    if "\0" in relative:
        return "holds a NUL character"
    path = PurePosixPath(relative)
    if path.is_absolute():
        return "is absolute"
    if ".." in path.parts:
        return "contains '..'"
    if not path.parts:
        return "is empty"
    return None


class Checksums:
    """The SHA-256 of each file that the manifest vouches for.

    Old labs list fewer files than new ones: RepX 0.3 and 0.4 leave out ``host-tools/`` and the links of images, and a
    manifest may list nothing at all. So a file that is not listed is accepted if the manifest lists no file of the same
    top folder, or if it is a link to a listed one (which is then the one that is checked); otherwise somebody added or
    replaced it, and it is refused.
    """

    def __init__(self, listed: Mapping[str, str], manifest: str) -> None:
        """Take the manifest's checksums by path; `manifest` is what messages call it.

        Raises:
            LabPathError: a listed path leaves the lab.

        """
        for path in listed:
            # The substring test is cheap and never lets a bad path through; only suspects are judged in full.
            if ".." in path or "\0" in path or not path or path[0] in "/.":
                confined(path, manifest)
        self._listed = listed
        self._folders = frozenset(path.split("/", 1)[0] for path in listed)

    def listed(self, relative: str) -> str | None:
        """The checksum that the manifest states for a path; `None` for one that it does not list."""
        return self._listed.get(relative)

    def lists(self, relative: str) -> bool:
        """Whether the manifest vouches for the file by this path."""
        return relative in self._listed

    def expected(self, relative: str, real: str, shown: str) -> str | None:
        """The SHA-256 that `relative`, which is or links to `real`, must have; `None` where none is promised.

        Both paths are in normal form; `shown` is what messages call the file.

        Raises:
            LabIntegrityError: the manifest should list the file but does not.

        """
        found = self._listed.get(relative) or self._listed.get(real)
        folders = {relative.split("/", 1)[0], real.split("/", 1)[0]}
        if found is None and not folders.isdisjoint(self._folders):
            raise LabIntegrityError(
                f"{shown}: not listed in the lab's manifest, which lists other files of that folder; the lab was "
                "changed after it was built: build it or copy it again"
            )
        return found

    def check_content(self, relative: str, real: str, content: bytes, shown: str) -> None:
        """Like `check`, with the content itself."""
        self.check(relative, real, hashlib.sha256(content).hexdigest(), shown)

    def check(self, relative: str, real: str, found: str, shown: str) -> None:
        """Compare the SHA-256 that was `found` with the expected one.

        Raises:
            LabIntegrityError: they differ, or the file should be listed but is not.

        """
        expected = self.expected(relative, real, shown)
        if expected is not None and expected != found:
            raise LabIntegrityError(
                f"{shown}: its content is not what the lab's manifest promises (SHA-256 {found} instead of {expected})"
                "; the lab was changed after it was built: build it or copy it again"
            )
