"""Bringing a lab to a target that does not see it.

A target keeps every content once, below ``<base path>/repx/labs/contents`` by its SHA-256; a lab, below
``<base path>/repx/labs/<lab id>-<start of its manifest's SHA-256>``, is made of links to them. So only what is new is
sent, in one stream; the lab is unpacked beside its place, compared with its manifest, and renamed: it is there
completely or not at all. Several may ship the same lab at once. What had arrived when a connection broke is not sent
again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from airflow_provider_repx.errors import LabIntegrityError, StoreError, TargetError
from airflow_provider_repx.execution.transport.failures import storage_error
from airflow_provider_repx.execution.transport.lab_archive import archive, in_pieces
from airflow_provider_repx.execution.transport.lab_contents import LabContents, read_contents
from airflow_provider_repx.execution.transport.lab_requirements import Requirement, requirements
from airflow_provider_repx.execution.transport.protocol import Completed, Transport
from airflow_provider_repx.lab.lab import Lab

__all__ = ["ShippedLab", "ShippingProgress", "ship_lab"]

_QUESTION_SECONDS = 120.0
_NAME_LENGTH = 12
_DIFFERENT, _NO_LINKS = 3, 4
_SHOWN = 5


@dataclass(frozen=True)
class ShippingProgress:
    """How far it is, in bytes of the stream; `total_bytes` leaves out the archive's own, so `sent_bytes` exceeds it."""

    sent_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class ShippedLab:
    """Where a lab is on its target.

    Attributes:
        lab_id: The lab's identity.
        path: Its folder there.
        shared: Whether the target sees the lab's own folder, so that nothing was copied.
        sent_contents: How many different files were sent now.
        sent_bytes: How many bytes they have.

    """

    lab_id: str
    path: Path
    shared: bool
    sent_contents: int = 0
    sent_bytes: int = 0


async def ship_lab(
    lab: Lab,
    base_path: Path,
    transport: Transport,
    progress: Callable[[ShippingProgress], None] | None = None,
    *,
    umask: str | None = None,
    timeout: float = 3600.0,
) -> ShippedLab:
    """Make sure that a target has a lab and all that the lab's scripts need, and tell where.

    Args:
        lab: A lab that is a folder on this machine.
        base_path: The target's base path, absolute.
        transport: The way to the target.
        progress: Called while the lab is sent.
        umask: Octal, for what is written; default: that of the login.
        timeout: Seconds that sending may take.

    Raises:
        LabError: the lab is an archive, changed after it was built, or links to files outside.
        TargetError: an interpreter or tool of its scripts is not on the target; the message names them.
        StoreError: the target cannot store it; `StoreFullError` for a full disk or quota.
        TransportError: the target cannot be reached.
        CommandTimeoutError: it took longer than `timeout`.

    """
    shipping = _Shipping(read_contents(lab), base_path / "repx/labs", lab.lab_id, transport)
    shipped = await shipping.ship(progress, umask or "", timeout)
    await _check_requirements(shipping.contents, transport)
    return shipped


@cache
def _script() -> str:
    return (files("airflow_provider_repx.execution.transport") / "ship_lab.sh").read_text()


async def _ask(transport: Transport, *arguments: str, stdin: bytes = b"") -> Completed:
    command = ["bash", "-c", _script(), "ship_lab", *arguments]
    return await transport.run(command, stdin=stdin, timeout=_QUESTION_SECONDS)


class _Shipping:
    """One lab on its way to one target."""

    def __init__(self, contents: LabContents, labs: Path, lab_id: str, transport: Transport) -> None:
        self.contents = contents
        self._labs = labs
        self._lab_id = lab_id
        self._folder = f"{lab_id}-{contents.manifest_sha256[:_NAME_LENGTH]}"
        self._transport = transport
        self._where = f"{transport.description}:{labs}"

    async def ship(self, progress: Callable[[ShippingProgress], None] | None, umask: str, timeout: float) -> ShippedLab:
        """Send what is missing, if anything; a damaged content is replaced once."""
        linked = True
        discarded: frozenset[str] = frozenset()
        while True:
            state, missing = await self._look()
            if state == "shared":
                return ShippedLab(self._lab_id, self.contents.root, shared=True)
            if state == "there":
                return ShippedLab(self._lab_id, self._labs / self._folder, shared=False)
            done = await self._send(missing, progress, umask, timeout, linked=linked)
            if done.exit_code == 0:
                return self._shipped(missing, linked=linked)
            if done.exit_code == _NO_LINKS and linked:
                linked = False
            elif done.exit_code == _DIFFERENT:
                discarded = await self._discard(done, missing if linked else None, discarded)
            else:
                raise storage_error(done.stderr, action="ship the lab", where=self._where)

    async def _look(self) -> tuple[str, frozenset[str]]:
        contents = self.contents
        names = "".join(f"{name}\n" for name in sorted({file.content for file in contents.files}))
        arguments = (str(self._labs), str(contents.root), contents.manifest, contents.manifest_sha256, self._folder)
        done = await _ask(self._transport, "look", *arguments, stdin=names.encode())
        state, *missing = done.stdout.decode().splitlines() or [""]
        if done.exit_code != 0 or not state:
            raise storage_error(done.stderr, action="look for the lab", where=self._where)
        return state, frozenset(missing)

    async def _send(
        self,
        missing: frozenset[str],
        progress: Callable[[ShippingProgress], None] | None,
        umask: str,
        timeout: float,
        *,
        linked: bool,
    ) -> Completed:
        total = self._shipped(missing, linked=linked).sent_bytes
        sent = 0

        def report(count: int) -> None:
            nonlocal sent
            sent += count
            if progress is not None:
                progress(ShippingProgress(sent, total))

        stream: AsyncIterator[bytes] = in_pieces(archive(self.contents, missing, linked=linked), report)
        command = ["bash", "-c", _script(), "ship_lab", "receive", str(self._labs), self._folder, umask]
        return await self._transport.run(command, stdin=stream, timeout=timeout)

    def _shipped(self, missing: frozenset[str], *, linked: bool) -> ShippedLab:
        if linked:
            sizes = list({file.content: file.size for file in self.contents.files if file.content in missing}.values())
        else:
            sizes = [file.size for file in self.contents.files]
        path = self._labs / self._folder
        return ShippedLab(self._lab_id, path, shared=False, sent_contents=len(sizes), sent_bytes=sum(sizes))

    async def _discard(
        self, done: Completed, missing: frozenset[str] | None, discarded: frozenset[str]
    ) -> frozenset[str]:
        """Remove contents that were damaged on the target; files that were just sent differ on this machine."""
        lines = done.stdout.decode(errors="surrogateescape").splitlines()
        failed = {line.rsplit(": FAILED", 1)[0] for line in lines}
        damaged = [file for file in self.contents.files if file.path in failed]
        changed = [file.path for file in damaged if missing is None or file.content in missing | discarded]
        if changed:
            raise LabIntegrityError(
                f"{self.contents.root / changed[0]}: its content is not what the lab's manifest promises (and"
                f" {len(changed) - 1} more files); the lab was changed after it was built: build it or copy it again"
            )
        if not damaged:
            raise StoreError(f"{self._where}: cannot compare the lab with its checksums: {done.stderr.decode()}")
        names = frozenset(file.content for file in damaged)
        listed = "".join(f"{name}\n" for name in sorted(names)).encode()
        removed = await _ask(self._transport, "discard", str(self._labs), stdin=listed)
        if removed.exit_code != 0:
            raise storage_error(removed.stderr, action="remove damaged contents", where=self._where)
        return discarded | names


async def _check_requirements(contents: LabContents, transport: Transport) -> None:
    if transport.is_local:
        return
    needed = {requirement.name: requirement for requirement in requirements(contents)}
    listed = "".join(f"{name}\0" for name in needed).encode(errors="surrogateescape")
    done = await _ask(transport, "check", stdin=listed)
    names = done.stdout.decode(errors="surrogateescape").split("\0")[:-1]
    if done.exit_code != 0:
        raise storage_error(done.stderr, action="look for what the lab's scripts need", where=transport.description)
    if names:
        raise _not_there([needed[name] for name in names], transport)


def _not_there(missing: list[Requirement], transport: Transport) -> TargetError:
    shown = "; ".join(f"{one.name} (needed by {one.script})" for one in missing[:_SHOWN])
    more = f"; and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return TargetError(
        f"{transport.description}: what the lab's scripts need is not there: {shown}{more}. Share this machine's"
        " /nix/store with the target, or copy the paths there with `nix copy --to ssh://...`. A lab that needs tools"
        " only can be built with repx-lib's hostPkgs, and then uses the target's own."
    )
