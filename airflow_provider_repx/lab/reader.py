"""The way in: from a path to a `Lab`."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_repx.errors import LabNotFoundError
from airflow_provider_repx.lab.lab import Lab
from airflow_provider_repx.lab.source import MANIFEST_SUFFIX, DirectorySource, LabSource
from airflow_provider_repx.lab.tar_source import TarSource

__all__ = ["read_lab"]


def read_lab(path: Path | str) -> Lab:
    """Open an evaluated lab, written by RepX 0.3 to 0.5 or by this package's own Nix library.

    Reads and verifies the manifest and the root metadata, nothing else; runs are read as they are asked for.

    Args:
        path: The lab's directory (or a link to it, as ``nix build`` makes), the path of its ``lab-metadata.json``, or
            an uncompressed tar archive of it.

    Raises:
        LabNotFoundError: there is nothing, or no lab, at `path`.
        LabFormatError: the manifest or the root metadata is malformed, or the archive is compressed.
        LabIntegrityError: the root metadata is missing or is not what the manifest promises.
        LabPathError: a path that the manifest lists, or a link, leaves the lab.

    """
    return Lab(_source(Path(path)))


def _source(path: Path) -> LabSource:
    try:
        if path.is_dir():
            return DirectorySource(path)
        if path.is_file():
            return _file_source(path)
    except (OSError, ValueError) as error:
        raise LabNotFoundError(f"{path}: cannot be opened as a lab: {error}") from error
    if path.is_symlink():
        raise LabNotFoundError(f"{path}: a symbolic link to nothing; build the lab again, it may have been collected")
    raise LabNotFoundError(f"{path}: there is no lab; build it, or give the path of a built one")


def _file_source(path: Path) -> LabSource:
    if not path.name.endswith(MANIFEST_SUFFIX):
        return TarSource(path)
    folder = path.absolute().parent
    if folder.name != "lab":
        raise LabNotFoundError(f"{path}: a lab's manifest lies in its folder 'lab'; give the lab's directory")
    return DirectorySource(folder.parent, path.name)
