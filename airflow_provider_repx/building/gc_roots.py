"""Lab versions that must survive a garbage collection: links in a folder, each a root.

A build's out link keeps only the newest lab. DAG runs that are under way keep the lab they started with, so whoever
starts them keeps that version here and releases it later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_repx.building.client import Nix
from airflow_provider_repx.errors import NixError

__all__ = ["KeptPath", "keep", "kept", "release"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=?-]*")
# What nix calls a link before it renames it into place; one can be left behind by a crash.
_UNFINISHED = re.compile(r"\.tmp-\d+-\d+$")


@dataclass(frozen=True)
class KeptPath:
    """A store path that is kept, and the name it is kept under."""

    name: str
    store_path: Path


def keep(nix: Nix, store_path: Path, folder: Path, name: str) -> Path:
    """Keep a store path under a name until `release`, and return the link; a name in use moves to the new path.

    Raises:
        NixError: the path is not in the store, or the name is no plain file name.
    """
    link = _link(folder, name)
    nix.add_root(store_path, link)
    return link


def release(folder: Path, name: str) -> None:
    """Let a store path go: the next garbage collection may delete it. A name that is not kept is no error."""
    _link(folder, name).unlink(missing_ok=True)


def kept(folder: Path) -> tuple[KeptPath, ...]:
    """What a folder keeps, by name; a folder that does not exist keeps nothing."""
    if not folder.is_dir():
        return ()
    return tuple(
        KeptPath(entry.name, entry.readlink())
        for entry in sorted(folder.iterdir())
        if entry.is_symlink() and not _UNFINISHED.search(entry.name)
    )


def _link(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name) or _UNFINISHED.search(name):
        raise NixError(f"{name!r} cannot be the name of a root in {folder}: use letters, digits and any of _ . + = ? -")
    return folder.expanduser().absolute() / name
