"""Writing a lab's files: equal contents are one file with several names, and each is hashed once."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["LabFiles", "compact"]


def compact(record: Any) -> bytes:
    """JSON on one line, as RepX writes it."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()


class LabFiles:
    """The files of one lab below `root`; remembers their checksums for the manifest."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._checksums: dict[str, str] = {}
        self._written: dict[Any, str] = {}
        self._digests: dict[bytes, str] = {}
        self._folders: dict[str, None] = {}

    def write(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Write the file `path`, relative to the lab; a content that was written before becomes a hard link."""
        target = f"{self._root}/{path}"
        self._make_folder(target.rpartition("/")[0])
        key = (content, executable)
        digest = self._digests.get(content)
        if digest is None:
            digest = self._digests[content] = hashlib.sha256(content).hexdigest()
        self._checksums[path] = digest
        if key in self._written:
            try:
                os.link(self._written[key], target)
            except OSError as error:
                # File systems limit the names of one file (ext4: 65,000): the next name starts a new file.
                if error.errno != errno.EMLINK:
                    raise
            else:
                return
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755 if executable else 0o644)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        self._written[key] = target

    def link(self, path: str, target: str) -> None:
        """Make the symbolic link `path` to `target`, a path relative to the link's folder; both inside the lab."""
        place = f"{self._root}/{path}"
        self._make_folder(place.rpartition("/")[0])
        Path(place).symlink_to(target)
        resolved = os.path.relpath(os.path.realpath(place), os.path.realpath(self._root))
        self._checksums[path] = self._checksums[resolved]

    def adopt(self, path: str, checksum: str) -> None:
        """Vouch for a file that was written by other means."""
        self._checksums[path] = checksum

    def place(self, path: str) -> Path:
        """Where a path of the lab is; its folder exists afterwards."""
        target = Path(self._root, path)
        self._make_folder(str(target.parent))
        return target

    def entries(self) -> list[dict[str, str]]:
        """Every file with its SHA-256, by path, as the manifest lists them."""
        return [{"path": path, "sha256": self._checksums[path]} for path in sorted(self._checksums)]

    def _make_folder(self, folder: str) -> None:
        if folder not in self._folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._folders[folder] = None
