from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from airflow_provider_repx.errors import StoreError, StoreFullError
from airflow_provider_repx.execution.store.files import store_error, write_atomically

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.ENOSPC, StoreFullError, "its file system is full"),
        (errno.EDQUOT, StoreFullError, "quota is exceeded"),
        (errno.EACCES, StoreError, "Permission denied"),
    ],
)
def test_a_full_disk_is_told_from_other_errors(number: int, kind: type[StoreError], text: str) -> None:
    error = store_error("write the file", Path("/store/file"), OSError(number, os.strerror(number)))

    assert type(error) is kind
    assert str(error).startswith("/store/file: cannot write the file: ")
    assert text in str(error)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()

    with pytest.raises(StoreError, match=r"taken: cannot write the file: "):
        write_atomically(tmp_path / "taken", b"content")

    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
