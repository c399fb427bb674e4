"""Lab versions are kept from Nix's garbage collection while they are served or used."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection
from pathlib import Path

from airflow_provider_repx.building import Nix, keep, kept, release
from airflow_provider_repx.errors import NixError

__all__ = ["keep_lab", "release_labs"]

_log = logging.getLogger(__name__)

_STORE_NAME = re.compile(r"^[0-9abcdfghijklmnpqrsvwxyz]{32}-")


def keep_lab(directory: Path, roots: Path) -> None:
    """Register a garbage collection root for a lab directory in a Nix store; once per directory.

    The root is a link in `roots`, outside of the folders that Airflow's cleanup of stale versions deletes. A lab that
    is not in a Nix store needs none. Without a nix command on this machine nothing collects garbage here either.
    """
    link = roots / directory.name
    store = directory.parent
    if link.is_symlink() or not _STORE_NAME.match(directory.name) or store.parts[-2:] != ("nix", "store"):
        return
    private = None if store == Path("/nix/store") else store.parents[1]
    try:
        keep(Nix.find(private_store=private), directory, roots, directory.name)
    except NixError as error:
        _log.warning("No garbage collection root for %s: %s", directory, error)


def release_labs(roots: Path, in_use: Collection[str], after: float) -> list[str]:
    """Remove the roots of versions that are not in use; return their names.

    Nothing is removed within `after` seconds of the newest root, nor while no version is known to be in use: a DAG run
    that was just created may not be visible yet.
    """
    roots_now = kept(roots)
    if not in_use or not roots_now:
        return []
    newest = max(_made_at(roots / root.name) for root in roots_now)
    if time.time() - newest < after:
        return []
    unused = [root.name for root in roots_now if root.name not in in_use]
    for name in unused:
        release(roots, name)
    return unused


def _made_at(link: Path) -> float:
    try:
        return link.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
