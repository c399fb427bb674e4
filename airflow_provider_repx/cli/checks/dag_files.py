"""DAG files that make one and the same DAG: Airflow keeps whichever it has read last, and says nothing.

Two labs in one file are not told apart: there the file's own variables decide.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.utils.file import list_py_file_paths

from airflow_provider_repx.cli.checks.finding import Finding, broken

__all__ = ["check_dag_ids"]

_HINT = b"repx"
_LAB = "lab:"
_SHOWN = 3


@dataclass(frozen=True)
class _Source:
    """Where a DAG was made: a file, and the name of the lab there; empty for a DAG of no lab."""

    file: Path
    lab: str

    def __str__(self) -> str:
        return f"{self.file} (lab {self.lab})" if self.lab else str(self.file)


def check_dag_ids() -> Iterator[Finding]:
    """Whether two labs, or two DAG files, make DAGs of the same ids; runs the files that mention RepX."""
    sources: dict[str, list[_Source]] = {}
    for name, folder in _folders():
        for file in _files(folder):
            for dag_id, source in _dags_of(file, folder, name):
                sources.setdefault(dag_id, []).append(source)
    clashes: dict[tuple[str, ...], list[str]] = {}
    for dag_id, found in sources.items():
        if len(found) > 1:
            clashes.setdefault(tuple(sorted(map(str, found))), []).append(dag_id)
    for places, dag_ids in clashes.items():
        more = f" and {len(dag_ids) - _SHOWN} more" if len(dag_ids) > _SHOWN else ""
        yield broken(
            "DAG files",
            f"{', '.join(sorted(dag_ids)[:_SHOWN])}{more}: made by {' and by '.join(places)}. Airflow"
            " keeps whichever it has read last. Remove one of the files, or give each lab a `dag_id_prefix` of its own",
        )


def _folders() -> Iterator[tuple[str, Path]]:
    """The DAG bundles of this machine that can be read, by name."""
    manager = DagBundlesManager()
    for name in manager.get_all_bundle_names():
        # A bundle of any class may fail in any way, and Airflow tells about it where it uses it.
        with contextlib.suppress(Exception):
            folder = Path(manager.get_bundle(name).path)
            if folder.is_dir():
                yield name, folder


def _files(folder: Path) -> Iterator[Path]:
    for found in list_py_file_paths(folder):
        file = Path(found)
        with contextlib.suppress(OSError):
            if _HINT in file.read_bytes():
                yield file


def _dags_of(file: Path, folder: Path, bundle: str) -> Iterator[tuple[str, _Source]]:
    """The ids of a file's DAGs; none where the file does not import."""
    with _quiet():
        bag = BundleDagBag(file, bundle_path=folder, bundle_name=bundle, collect_dags=False)
        found = bag.process_file(str(file), only_if_updated=False)
    for dag in found:
        lab = next((tag.removeprefix(_LAB) for tag in sorted(dag.tags) if tag.startswith(_LAB)), "")
        yield dag.dag_id, _Source(file, lab)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing that a DAG file prints or logs is about this check; what does not import is told by another one."""
    before = logging.root.manager.disable
    path = list(sys.path)
    logging.disable(logging.CRITICAL)
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        logging.disable(before)
        sys.path[:] = path
