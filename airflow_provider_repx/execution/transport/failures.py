"""A target's storage that refuses, put into words: full, over quota, read-only, somebody else's."""

from __future__ import annotations

from airflow_provider_repx.errors import StoreError, StoreFullError

__all__ = ["storage_error"]

_SHARE = (
    "Let the folder belong to a group that all its users are in, with the setgid bit (chmod g+ws) and a umask of 0007"
    " in the connection"
)
_FULL = {
    "No space left on device": "the file system is full: no space or no inodes left. Free some, or choose another path",
    "Disk quota exceeded": "this user's or group's disk quota is exceeded. Remove files, or ask for more",
    "File too large": "a file is larger than the file system or a limit (ulimit -f) allows",
}
_OTHERS = {
    "Read-only file system": "the file system is read-only there. Choose a base path that can be written",
    "Permission denied": f"this user may not write there. {_SHARE}, or choose another base path",
    "Operation not permitted": f"this user may not do that to somebody else's file. {_SHARE}",
    "Not a directory": "something on the path is a file. Correct the base path",
    "Stale file handle": "its network file system was exported anew. Mount it again",
    "Input/output error": "the device or its network file system fails. Ask the administrator",
}


def storage_error(stderr: bytes | str, *, action: str, where: str) -> StoreError:
    """The error for a command that failed to store something; it is returned, not raised.

    Args:
        stderr: What the command wrote there, in the C locale, as every transport sets it.
        action: What was tried, such as ``"ship the lab"``.
        where: The machine and path, for the message.

    Returns:
        A `StoreFullError` if disk or quota are full, else a `StoreError` that says as much as the text does.

    """
    text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else stderr
    said = text.strip()
    for pattern, meaning in _FULL.items():
        if pattern in text:
            return StoreFullError(f"{where}: cannot {action}: {meaning}. It said: {said}")
    for pattern, meaning in _OTHERS.items():
        if pattern in text:
            return StoreError(f"{where}: cannot {action}: {meaning}. It said: {said}")
    return StoreError(f"{where}: cannot {action}: {said or '(nothing on stderr)'}")
