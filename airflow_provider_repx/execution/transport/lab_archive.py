"""The one stream that carries a lab to a target: a tar archive, made while it is sent.

It holds the contents that the target lacks, then the lab as links to contents, then its checksums. On a file system
that does not link, the lab's files themselves are sent.
"""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from airflow_provider_repx.errors import LabIntegrityError
from airflow_provider_repx.execution.transport.lab_contents import LabContents, LabFile

__all__ = ["archive", "in_pieces"]

_PIECE = 1 << 20
_POOL = "../../contents"
"""The target's contents as seen from where the archive is unpacked."""

_MODE, _MODE_EXECUTABLE, _MODE_FOLDER = 0o444, 0o555, 0o755


def archive(contents: LabContents, missing: frozenset[str], *, linked: bool) -> Iterator[bytes]:
    """The archive, block by block. `missing` names the contents to be sent; without `linked` all files are.

    Raises `LabIntegrityError` for a file that changes or cannot be read.
    """
    sent: set[str] = set()
    if linked:
        for file in contents.files:
            if file.content in missing and file.content not in sent:
                sent.add(file.content)
                yield from _regular(contents.root / file.path, f"contents/{file.content}", file)
    yield _member("lab", tarfile.DIRTYPE)
    for folder in contents.folders:
        yield _member(f"lab/{folder}", tarfile.DIRTYPE)
    for path, target in contents.links:
        yield _member(f"lab/{path}", tarfile.SYMTYPE, link=target)
    for file in contents.files:
        if not linked:
            yield from _regular(contents.root / file.path, f"lab/{file.path}", file)
        else:
            pool = "contents" if file.content in sent else _POOL
            yield _member(f"lab/{file.path}", tarfile.LNKTYPE, link=f"{pool}/{file.content}")
    listed = "".join(_checksum(file) for file in contents.files).encode(errors="surrogateescape")
    yield _member("checksums", tarfile.REGTYPE, size=len(listed)) + _padded(listed)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _member(name: str, kind: bytes, *, link: str = "", size: int = 0, executable: bool = False) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    info.mode = _MODE_FOLDER if kind == tarfile.DIRTYPE else _MODE_EXECUTABLE if executable else _MODE
    # As in the Nix store, so that nothing depends on when a lab was shipped.
    info.mtime = 1
    return info.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape")


def _regular(source: Path, name: str, file: LabFile) -> Iterator[bytes]:
    yield _member(name, tarfile.REGTYPE, size=file.size, executable=file.executable)
    left = file.size
    try:
        with source.open("rb") as stream:
            while left and (block := stream.read(min(_PIECE, left))):
                left -= len(block)
                yield block
    except OSError as error:
        raise LabIntegrityError(f"{source}: cannot be read: {error.strerror}") from error
    if left:
        raise LabIntegrityError(f"{source}: became shorter while it was read; build the lab again")
    yield bytes(-file.size % tarfile.BLOCKSIZE)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % tarfile.BLOCKSIZE)


def _checksum(file: LabFile) -> str:
    """One line as ``sha256sum --check`` reads it, which marks names with escapes by a backslash in front."""
    path = file.path
    if "\\" in path or "\n" in path:
        escaped = path.replace("\\", "\\\\").replace("\n", "\\n")
        return f"\\{file.sha256}  {escaped}\n"
    return f"{file.sha256}  {path}\n"


async def in_pieces(blocks: Iterator[bytes], report: Callable[[int], None]) -> AsyncIterator[bytes]:
    """Collect blocks to pieces of about 1 MiB, reading in a thread; `report` gets the length of each piece sent."""
    while piece := await asyncio.to_thread(_collect, blocks):
        yield piece
        report(len(piece))


def _collect(blocks: Iterator[bytes]) -> bytes:
    collected = bytearray()
    for block in blocks:
        collected += block
        if len(collected) >= _PIECE:
            break
    return bytes(collected)
