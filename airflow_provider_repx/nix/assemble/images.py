"""Container images and host tools in a lab: archives become folders whose layers lie in the lab's `store`."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import IO

from .failure import BlueprintError
from .files import LabFiles

__all__ = ["add_host_tools", "add_image"]

_BLOCK = 1 << 20


def add_image(files: LabFiles, archive: str) -> str:
    """Add a docker archive (one uncompressed or compressed tar); the path of its folder in the lab.

    Each layer is `store/<sha256>-layer.tar` once, however many images share it.
    """
    folder = f"images/{_folder_name(archive)}"
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = Path(member.name).parts
            if not member.isfile() or ".." in parts or member.name.startswith("/"):
                continue
            source = tar.extractfile(member)
            if source is None:
                continue
            path = str(Path(*parts))
            if parts[-1] != "layer.tar":
                files.write(f"{folder}/{path}", source.read())
                continue
            stored = _store_layer(files, source)
            files.link(f"{folder}/{path}", "../" * (len(parts) + 1) + stored)
        names = set(tar.getnames())
    if not {"manifest.json", "./manifest.json"} & names:
        raise BlueprintError(f"{archive} is no docker archive: there is no manifest.json in it")
    return folder


def _store_layer(files: LabFiles, source: IO[bytes]) -> str:
    """Copy a layer into the lab's store, under its checksum; the path there."""
    partial = files.place("store/partial-layer.tar")
    checksum = hashlib.sha256()
    with partial.open("wb") as target:
        for block in iter(lambda: source.read(_BLOCK), b""):
            checksum.update(block)
            target.write(block)
    stored = f"store/{checksum.hexdigest()}-layer.tar"
    partial.replace(files.place(stored))
    files.adopt(stored, checksum.hexdigest())
    return stored


def _folder_name(archive: str) -> str:
    name = Path(archive).name
    for suffix in (".tar.gz", ".tar.zst", ".tar"):
        if name.endswith(suffix):
            return name[: -len(suffix)] + ".tar"
    return name + ".tar"


def add_host_tools(files: LabFiles, tools: list[dict[str, str]]) -> None:
    """Add programs that start containers: `host-tools/<digest>/bin/<program>`, links into the lab's `store`."""
    digest = hashlib.sha256(json.dumps(tools, sort_keys=True).encode()).hexdigest()
    files.place(f"host-tools/{digest}/bin/any")
    for tool in tools:
        for program in sorted(Path(tool["bin"]).iterdir()):
            stored = f"store/{tool['name']}-{program.name}"
            if files.place(stored).exists() or not program.is_file():
                continue
            files.write(stored, program.read_bytes(), executable=True)
            files.link(f"host-tools/{digest}/bin/{program.name}", f"../../../{stored}")
