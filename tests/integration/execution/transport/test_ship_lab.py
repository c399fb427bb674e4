"""A lab is brought to another base path, on this machine and over SSH."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.errors import LabIntegrityError, LabPathError, StoreError, StoreFullError, TargetError
from airflow_provider_repx.execution.transport import (
    LocalTransport,
    ShippedLab,
    ShippingProgress,
    SshTransport,
    ship_lab,
)
from airflow_provider_repx.lab import read_lab
from tests.integration.execution.transport.conftest import settings_of
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab, write_manifest
from tools.cluster import SshdOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_repx.execution.transport import Completed, Transport
    from airflow_provider_repx.execution.transport.streams import Input
    from tests.support.cluster import UserFactory

    NewTransport = Callable[[], Transport]

pytestmark = pytest.mark.integration


class Elsewhere:
    """Another machine, played by this one: it does not see the lab's own folder."""

    is_local = False

    def __init__(self, inner: Transport, hidden: Path) -> None:
        self._inner = inner
        self._hidden = str(hidden)
        self.description = inner.description

    async def run(self, command: Sequence[str], *, stdin: Input = b"", timeout: float) -> Completed:
        unseen = [word.replace(self._hidden, "/nowhere") if word == self._hidden else word for word in command]
        return await self._inner.run(unseen, stdin=stdin, timeout=timeout)

    async def close(self) -> None:
        await self._inner.close()


def lab_at(path: Path, *, jobs: int = 3, seed: str = "") -> Path:
    specs = [JobSpec(job_id(f"job-{number}-1.1"), script=f"echo {number}{seed}") for number in range(jobs)]
    return write_lab(path, [RunSpec("sim", specs)])


def ship(
    new: NewTransport,
    lab: Path,
    base: Path,
    progress: Callable[[ShippingProgress], None] | None = None,
    umask: str | None = None,
) -> ShippedLab:
    async def scenario() -> ShippedLab:
        transport = Elsewhere(new(), lab)
        try:
            return await ship_lab(read_lab(lab), base, transport, progress, umask=umask)
        finally:
            await transport.close()

    return asyncio.run(scenario())


def test_a_lab_arrives_complete_and_can_be_run(new_transport: NewTransport, tmp_path: Path) -> None:
    lab = lab_at(tmp_path / "lab")
    seen: list[ShippingProgress] = []
    shipped = ship(new_transport, lab, tmp_path / "base with 'blanks'", seen.append)
    assert shipped.path.is_relative_to(tmp_path / "base with 'blanks'/repx/labs")
    assert (shipped.lab_id, shipped.shared) == (read_lab(lab).lab_id, False)
    assert read_lab(shipped.path).verify() == read_lab(lab).verify()
    script = next(shipped.path.glob("jobs/*/bin/main"))
    assert stat.S_IMODE(script.stat().st_mode) & 0o555 == 0o555
    assert subprocess.run([script, tmp_path / "out", "i", "p"], check=True, capture_output=True, text=True).stdout
    assert seen[-1].sent_bytes >= seen[-1].total_bytes == shipped.sent_bytes > 0


def test_a_target_that_sees_the_lab_gets_no_copy(tmp_path: Path) -> None:
    lab = lab_at(tmp_path / "lab")
    shipped = asyncio.run(ship_lab(read_lab(lab), tmp_path / "base", LocalTransport()))
    assert shipped == ShippedLab(read_lab(lab).lab_id, lab.resolve(), shared=True)
    assert not (tmp_path / "base").exists()


def test_only_what_is_new_is_sent(tmp_path: Path) -> None:
    first = ship(LocalTransport, lab_at(tmp_path / "one"), tmp_path / "base")
    again = ship(LocalTransport, tmp_path / "one", tmp_path / "base")
    assert (again.path, again.sent_contents) == (first.path, 0)
    changed = ship(LocalTransport, lab_at(tmp_path / "two", jobs=4), tmp_path / "base")
    assert changed.path != first.path
    # The new job's script, its run's metadata, the manifest.
    assert changed.sent_contents == 3
    assert read_lab(first.path).verify()
    assert read_lab(changed.path).verify()


def test_links_odd_names_and_empty_folders_arrive(tmp_path: Path) -> None:
    lab = lab_at(tmp_path / "lab")
    odd = lab / "readme" / "a b'c\"$x\\y\nz\té"
    odd.parent.mkdir()
    odd.write_text("odd")
    (lab / "readme" / ("long" * 50)).write_text("long name")
    (lab / "readme" / "link").symlink_to("../revision/metadata-top.json")
    (lab / "readme" / "empty").mkdir()
    write_manifest(lab)
    shipped = ship(LocalTransport, lab, tmp_path / "base").path
    assert (shipped / odd.relative_to(lab)).read_text() == "odd"
    assert (shipped / "readme/link").readlink() == Path("../revision/metadata-top.json")
    assert (shipped / "readme/empty").is_dir()
    assert read_lab(shipped).verify()


def test_a_link_out_of_the_lab_is_refused(tmp_path: Path) -> None:
    lab = lab_at(tmp_path / "lab")
    (lab / "revision/out").symlink_to("../../elsewhere")
    with pytest.raises(LabPathError, match="leads out of the lab"):
        ship(LocalTransport, lab, tmp_path / "base")


def test_a_file_that_differs_from_the_manifest_never_arrives(tmp_path: Path) -> None:
    lab = lab_at(tmp_path / "lab")
    script = next(lab.glob("jobs/*/bin/main"))
    script.write_text(script.read_text().replace("echo", "ECHO"))
    with pytest.raises(LabIntegrityError, match="bin/main: its content is not what the lab's manifest promises"):
        ship(LocalTransport, lab, tmp_path / "base")
    assert only_plain_names(tmp_path / "base/repx/labs") == []


def test_a_content_that_was_damaged_on_the_target_is_replaced(tmp_path: Path) -> None:
    ship(LocalTransport, lab_at(tmp_path / "one"), tmp_path / "base")
    for content in (tmp_path / "base/repx/labs/contents").glob("*/*x"):
        content.chmod(0o755)
        content.write_text("damaged")
    shipped = ship(LocalTransport, lab_at(tmp_path / "two", jobs=4), tmp_path / "base")
    assert read_lab(shipped.path).verify()


def test_two_at_once(new_transport: NewTransport, tmp_path: Path) -> None:
    lab = lab_at(tmp_path / "lab", jobs=40)

    async def scenario() -> list[ShippedLab]:
        transports = [Elsewhere(new_transport(), lab) for _ in range(4)]
        try:
            return list(await asyncio.gather(*(ship_lab(read_lab(lab), tmp_path / "base", one) for one in transports)))
        finally:
            await asyncio.gather(*(one.close() for one in transports))

    shipped = asyncio.run(scenario())
    assert {one.path for one in shipped} == {shipped[0].path}
    assert read_lab(shipped[0].path).verify()
    assert list((tmp_path / "base/repx/labs/incoming").iterdir()) == []


def test_what_arrived_before_a_break_is_not_sent_again(tmp_path: Path) -> None:
    lab = lab_at(tmp_path / "lab")
    large = lab / "store"
    large.mkdir()
    for number in range(4):
        (large / f"{number}").write_bytes(os.urandom(3 << 20))
    write_manifest(lab)

    class Breaking(Elsewhere):
        async def run(self, command: Sequence[str], *, stdin: Input = b"", timeout: float) -> Completed:
            if isinstance(stdin, bytes):
                return await super().run(command, stdin=stdin, timeout=timeout)
            taken = bytearray()
            async for piece in stdin:
                taken += piece
                if len(taken) > 8 << 20:
                    break
            return await super().run(command, stdin=bytes(taken), timeout=timeout)

    async def broken() -> None:
        await ship_lab(read_lab(lab), tmp_path / "base", Breaking(LocalTransport(), lab))

    with pytest.raises(StoreError, match="Unexpected EOF"):
        asyncio.run(broken())
    shipped = ship(LocalTransport, lab, tmp_path / "base")
    assert shipped.sent_bytes < 9 << 20
    assert read_lab(shipped.path).verify()
    assert list((tmp_path / "base/repx/labs/incoming").iterdir()) == []


def test_the_umask_of_a_shared_store_is_honored(tmp_path: Path) -> None:
    shipped = ship(LocalTransport, lab_at(tmp_path / "lab"), tmp_path / "base", umask="0007").path
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [shipped, *shipped.rglob("*")]}
    assert modes <= {0o770, 0o750, 0o550, 0o440}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a tiny file system")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    lab = lab_at(tmp_path / "lab")
    (lab / "store").mkdir()
    (lab / "store/large").write_bytes(os.urandom(3 << 20))
    write_manifest(lab)
    base = tmp_path / "base"
    base.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", base], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"needs to mount a tmpfs: {mounted.stderr!r}")
    try:
        with pytest.raises(StoreFullError, match="the file system is full"):
            ship(LocalTransport, lab, base)
        assert only_plain_names(base / "repx/labs") == []
    finally:
        subprocess.run(["umount", base], check=True)


def test_a_file_system_without_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = lab_at(tmp_path / "lab")
    tools = tmp_path / "bin"
    tools.mkdir()
    real = shutil.which("tar")
    # Only what a file system without hard links does to tar: this machine has none to mount.
    (tools / "tar").write_text(
        f'#!/bin/bash\n{real} "$@" || exit\nshopt -s globstar\nfor file in "${{@: -3:1}}"/lab/**; do\n'
        '  if [[ -f $file && $(stat -c %h "$file") -gt 1 ]]; then\n'
        '    echo "tar: x: Cannot hard link to y: Operation not supported" >&2; exit 2\n  fi\ndone\n'
    )
    (tools / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    shipped = ship(LocalTransport, lab, tmp_path / "base")
    assert read_lab(shipped.path).verify()
    assert next(shipped.path.glob("jobs/*/bin/main")).stat().st_nlink == 1


def test_a_colleague_who_may_not_write_there_is_told(
    user_factory: UserFactory, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    colleague = user_factory()
    server = request.getfixturevalue("sshd_factory")(SshdOptions(users=(colleague.name,)))
    settings = settings_of(server).model_copy(update={"user": colleague.name})
    base = colleague.home / "base"
    base.mkdir(mode=0o755)
    with pytest.raises(StoreError, match="this user may not write there"):
        ship(lambda: SshTransport(settings), lab_at(tmp_path / "lab"), base)
    os.chown(base, colleague.uid, colleague.gid)
    shipped = ship(lambda: SshTransport(settings), tmp_path / "lab", base)
    assert shipped.path.stat().st_uid == colleague.uid


@pytest.mark.parametrize(
    ("line", "missing"), [("#!/no/such/bash", "/no/such/bash"), ("#!/usr/bin/env no-such-shell", "no-such-shell")]
)
def test_a_missing_interpreter_is_named(tmp_path: Path, line: str, missing: str) -> None:
    lab = lab_at(tmp_path / "lab")
    script = next(lab.glob("jobs/*/bin/main"))
    script.write_text(script.read_text().replace("#!/usr/bin/env bash", line))
    write_manifest(lab)
    with pytest.raises(TargetError, match=rf": {missing} \(needed by jobs/\S+/bin/main\).*nix copy"):
        ship(LocalTransport, lab, tmp_path / "base")


def test_a_missing_store_path_is_named(tmp_path: Path) -> None:
    lab = lab_at(tmp_path / "lab")
    script = next(lab.glob("jobs/*/bin/main"))
    tool = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-jq-1.7"
    script.write_text(script.read_text() + f'export PATH="{tool}/bin:$PATH"\n')
    write_manifest(lab)
    with pytest.raises(TargetError, match=f"{tool} .needed by"):
        ship(LocalTransport, lab, tmp_path / "base")


def only_plain_names(labs: Path) -> list[str]:
    return [path.name for path in labs.glob("*") if path.name not in {"contents", "incoming"}]
