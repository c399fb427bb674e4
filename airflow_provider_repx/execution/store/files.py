"""Files that are either there completely or not at all."""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path

from airflow_provider_repx.errors import StoreError, StoreFullError

__all__ = ["make_folder", "store_error", "write_all", "write_atomically"]

_FULL = {
    errno.ENOSPC: "its file system is full: no space or no inodes left. Free some, or choose another base path.",
    errno.EDQUOT: "this user's or group's disk quota is exceeded. Remove files, or ask for more.",
}


def store_error(action: str, path: Path, error: OSError) -> StoreError:
    """The error for a failed access to the store, a `StoreFullError` where that is the cause.

    `action` says what was tried.
    """
    if error.errno in _FULL:
        return StoreFullError(f"{path}: cannot {action}: {_FULL[error.errno]}")
    return StoreError(
        f"{path}: cannot {action}: {error.strerror or error}. Check that the output store exists, and that this user"
        " may write there."
    )


def make_folder(path: Path) -> None:
    """Create a folder and those above it; raises `StoreError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise store_error("create the folder", path, error) from error


def write_atomically(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a file under a temporary name beside it, then rename it; raises `StoreError`, leaving nothing behind.

    `mode` holds the permission bits before the process's umask.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.rename(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise store_error("write the file", path, error) from error


def write_all(descriptor: int, content: bytes) -> None:
    """Write everything to an open file, whose file system may take less at once; raises `OSError`."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
