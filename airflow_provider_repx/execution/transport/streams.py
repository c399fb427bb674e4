"""Data for a command's standard input."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Protocol, TypeAlias

__all__ = ["Input", "Sink", "feed"]

Input: TypeAlias = bytes | AsyncIterable[bytes]

_PIECE = 1 << 18


class Sink(Protocol):
    """Where a command's standard input goes: a stream of asyncio or of an SSH channel."""

    def write(self, data: bytes) -> None:
        """Hand over data."""

    async def drain(self) -> None:
        """Wait until more data can be handed over."""

    def write_eof(self) -> None:
        """Say that this was all."""


async def feed(sink: Sink, data: Input) -> None:
    """Write all data to a command and close its input.

    A command that ends, or closes its input, before it has read everything is not an error here: its exit code tells.
    What the data's own iterator raises passes through.
    """
    async for piece in _pieces(data):
        try:
            sink.write(piece)
            await sink.drain()
        except OSError:
            return
    try:
        sink.write_eof()
    except OSError:
        return


async def _pieces(data: Input) -> AsyncIterator[bytes]:
    if isinstance(data, bytes):
        for start in range(0, len(data), _PIECE):
            yield data[start : start + _PIECE]
        return
    async for piece in data:
        for start in range(0, len(piece), _PIECE):
            yield piece[start : start + _PIECE]
