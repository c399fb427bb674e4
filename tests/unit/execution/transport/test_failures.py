from __future__ import annotations

import errno
import os

import pytest

from airflow_provider_repx.errors import StoreError, StoreFullError
from airflow_provider_repx.execution.transport import storage_error

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("number", "kind", "meaning"),
    [
        (errno.ENOSPC, StoreFullError, "the file system is full"),
        (errno.EDQUOT, StoreFullError, "disk quota is exceeded"),
        (errno.EFBIG, StoreFullError, "larger than the file system"),
        (errno.EROFS, StoreError, "read-only"),
        (errno.EACCES, StoreError, "may not write there"),
        (errno.EPERM, StoreError, "somebody else's file"),
        (errno.ENOTDIR, StoreError, "something on the path is a file"),
        (errno.ESTALE, StoreError, "exported anew"),
        (errno.EIO, StoreError, "the device"),
    ],
)
def test_what_the_system_says_is_explained(number: int, kind: type[StoreError], meaning: str) -> None:
    said = f"tar: lab/x: Cannot write: {os.strerror(number)}\n"
    error = storage_error(said.encode(), action="ship the lab", where="ada@cluster:/base")
    assert type(error) is kind
    assert str(error).startswith("ada@cluster:/base: cannot ship the lab: ")
    assert meaning in str(error)
    assert said.strip() in str(error)


def test_anything_else_is_passed_on() -> None:
    error = storage_error("tar: odd\n", action="ship the lab", where="here")
    assert str(error) == "here: cannot ship the lab: tar: odd"
    assert "nothing on stderr" in str(storage_error(b"", action="ship the lab", where="here"))
