from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.errors import UnitError
from airflow_provider_repx.lab import format_memory, format_time, parse_memory, parse_time

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("4096", 4096),
        ("512B", 512),
        ("1K", 1024),
        ("256M", 256 * 1024**2),
        ("4G", 4 * 1024**3),
        ("4g", 4 * 1024**3),
        ("4GB", 4 * 1024**3),
        ("4GiB", 4 * 1024**3),
        ("4 GB", 4 * 1024**3),
        (" 4G ", 4 * 1024**3),
        ("1.5G", 1536 * 1024**2),
        ("0.0001K", 1),
        ("2T", 2 * 1024**4),
        ("1P", 1024**5),
        ("007M", 7 * 1024**2),
    ],
)
def test_memory_is_read(text: str, expected: Any) -> None:
    assert parse_memory(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "G", "-1G", "+1G", "4X", "4GG", "1e3", "4,5G", "4G 5", "٣G", "0", "0G", "nan", "9" * 5000, "4  G", ".5G"],
)
def test_other_memory_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match="memory: "):
        parse_memory(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("1:30", 90),
        ("30:00", 1800),
        ("02:00:00", 7200),
        ("00:90:00", 5400),
        ("1-00:00:00", 86_400),
        ("2-03:04:05", 2 * 86_400 + 3 * 3600 + 4 * 60 + 5),
        ("1-12", 129_600),
        ("1-12:30", 131_400),
        ("0-1", 3600),
        (" 00:10:00\n", 600),
    ],
)
def test_time_is_read(text: str, expected: Any) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ":", "1:", ":1", "1:2:3:4", "-1", "1-", "1-2-3", "1h", "1.5", "0", "00:00:00", "٣", "9" * 5000, "UNLIMITED"],
)
def test_other_time_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match="time: "):
        parse_time(text)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(1000, "1000B"), (1024, "1K"), (1536, "1536B"), (4 * 1024**3, "4G"), (1536 * 1024**2, "1536M")],
)
def test_memory_is_written_with_the_largest_exact_suffix(amount: int, expected: Any) -> None:
    assert format_memory(amount) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(90, "00:01:30"), (86_399, "23:59:59"), (90_061, "1-01:01:01")])
def test_time_is_written_as_slurm_writes_it(seconds: int, expected: Any) -> None:
    assert format_time(seconds) == expected


@pytest.mark.parametrize("amount", [0, -1])
def test_what_cannot_be_asked_for_is_not_written(amount: int) -> None:
    with pytest.raises(UnitError):
        format_memory(amount)
    with pytest.raises(UnitError):
        format_time(amount)


@given(st.integers(1, 10**17))
def test_memory_survives_writing_and_reading(amount: int) -> None:
    assert parse_memory(format_memory(amount)) == amount


@given(st.integers(1, 10**12))
def test_time_survives_writing_and_reading(seconds: int) -> None:
    assert parse_time(format_time(seconds)) == seconds


@pytest.mark.parametrize("parse", [parse_memory, parse_time])
@given(text=st.text(alphabet="0123456789:-KMGTiB. ", max_size=12) | st.text(max_size=8))
def test_any_text_is_read_or_refused(parse: Callable[[str], int], text: str) -> None:
    try:
        assert parse(text) > 0
    except UnitError as error:
        assert repr(text) in str(error)  # noqa: PT017 - either outcome is right
