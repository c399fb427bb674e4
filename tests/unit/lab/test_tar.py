from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.errors import (
    LabError,
    LabFormatError,
    LabIntegrityError,
    LabNotFoundError,
    LabPathError,
)
from airflow_provider_repx.lab import read_lab
from tests.unit.lab.making import PRODUCER, two_runs

pytestmark = pytest.mark.unit


def pack(tmp_path: Path, arcname: str = "mylab", change: Callable[[tarfile.TarFile], None] | None = None) -> Path:
    archive = tmp_path / "lab.tar"
    with tarfile.open(archive, "w:") as tar:
        tar.add(two_runs(tmp_path / "lab"), arcname=arcname)
        if change is not None:
            change(tar)
    return archive


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Callable[[tarfile.TarFile], None]:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return lambda tar: tar.addfile(member)


@pytest.mark.parametrize("prefix", ["mylab", ".", "", "deep/er"])
def test_a_tar_is_read_whatever_its_prefix(tmp_path: Path, prefix: str) -> None:
    archive = pack(tmp_path, arcname=prefix)
    lab = read_lab(archive)
    assert lab.path == archive.resolve()
    assert not lab.is_directory
    assert lab.run_names == ("sim", "plot")
    assert lab.run("sim").jobs[PRODUCER].params["seed"] == 1
    assert lab.verify() == read_lab(tmp_path / "lab").verify()


def test_an_archive_deeper_inside_is_not_mistaken_for_the_lab(tmp_path: Path) -> None:
    def add(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("mylab/jobs/x/lab/lab-metadata.json")
        tar.addfile(member, io.BytesIO())

    assert read_lab(pack(tmp_path, change=add)).run_names == ("sim", "plot")


def test_files_of_a_tar_cannot_be_used_in_place(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="unpack it first"):
        read_lab(pack(tmp_path)).file(f"jobs/{PRODUCER}/bin/main")


def test_a_compressed_tar_is_named_as_such(tmp_path: Path) -> None:
    compressed = tmp_path / "lab.tar.gz"
    compressed.write_bytes(gzip.compress(pack(tmp_path).read_bytes()))
    with pytest.raises(LabFormatError, match=r"lab.tar.gz: compressed with gzip; .* decompress it"):
        read_lab(compressed)


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 100, b"x" * 2000])
def test_another_file_is_no_lab(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "thing").write_bytes(content)
    with pytest.raises(LabFormatError, match="nor an uncompressed tar archive"):
        read_lab(tmp_path / "thing")


def test_a_tar_without_a_lab_is_not_found(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w:") as tar:
        tar.addfile(tarfile.TarInfo("readme"), io.BytesIO())
    with pytest.raises(LabNotFoundError, match="no member called"):
        read_lab(tmp_path / "x.tar")


def test_a_tar_of_two_labs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabFormatError, match="several labs in one archive"):
        read_lab(pack(tmp_path, change=lambda tar: tar.add(tmp_path / "lab", arcname="other")))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "../.."])
def test_a_symbolic_link_out_of_the_archive_is_refused(tmp_path: Path, target: str) -> None:
    with pytest.raises(LabPathError, match=r"mylab/store/x: a symbolic link leads out of the lab"):
        read_lab(pack(tmp_path, change=link("mylab/store/x", target)))


@pytest.mark.parametrize("name", ["/etc/passwd", "mylab/../../x"])
def test_a_member_outside_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    def add(tar: tarfile.TarFile) -> None:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())

    with pytest.raises(LabPathError, match="stay inside it"):
        read_lab(pack(tmp_path, change=add))


def relink(kind: bytes, target: str) -> Callable[[tarfile.TarFile], None]:
    """Replace the run's file by a link; the last member of a name is the one that counts."""

    def change(tar: tarfile.TarFile) -> None:
        tar.add(Path(str(tar.name)).with_name("lab") / "revision/metadata-sim.json", arcname="mylab/store/real")
        link("mylab/store/link", "real")(tar)
        link("mylab/store/folder", "../store")(tar)
        link("mylab/revision/metadata-sim.json", target, kind)(tar)

    return change


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "../store/real"),
        (tarfile.SYMTYPE, "../store/link"),
        (tarfile.SYMTYPE, "../store/folder/link"),
        (tarfile.LNKTYPE, "mylab/store/real"),
    ],
)
def test_links_are_followed(tmp_path: Path, kind: Any, target: str) -> None:
    assert len(read_lab(pack(tmp_path, change=relink(kind, target))).run("sim").jobs) == 2


def test_a_link_to_itself_ends(tmp_path: Path) -> None:
    lab = read_lab(pack(tmp_path, change=relink(tarfile.SYMTYPE, "metadata-sim.json")))
    with pytest.raises(LabIntegrityError, match="leads back to itself"):
        lab.run("sim")


def test_a_hard_link_to_another_folder_of_the_archive_is_refused(tmp_path: Path) -> None:
    lab = read_lab(pack(tmp_path, change=relink(tarfile.LNKTYPE, "elsewhere/real")))
    with pytest.raises(LabPathError, match="a hard link leads out of the lab"):
        lab.run("sim")


def test_a_truncated_tar_is_noticed(tmp_path: Path) -> None:
    archive = pack(tmp_path)
    content = archive.read_bytes()
    for size in range(0, len(content), 512 * 3 + 100):
        archive.write_bytes(content[:size])
        with pytest.raises(LabError):
            read_lab(archive).verify()
        if content[size:].strip(b"\0") == b"":
            break
