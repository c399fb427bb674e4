"""Lab versions are kept from Nix's garbage collection while their bundle knows them."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from airflow_provider_repx.building import Nix, keep
from airflow_provider_repx.errors import NixError

__all__ = ["keep_lab"]

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
