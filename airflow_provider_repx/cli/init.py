"""`airflow repx init`."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.errors import RepxError

__all__ = ["init", "write_lab"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")

_DAG_FILE = '''"""DAGs of the lab {name}: copy or link this file into Airflow's DAGs folder."""

from airflow_provider_repx import repx_dags

# Every lab also has a DAG `repx_lab`: beside another lab, give one a dag_id_prefix="..." as well.
globals().update(repx_dags(lab={lab!r}, name={name!r}))
'''


@command
def init(arguments: argparse.Namespace) -> None:
    """Write a lab and say what to do with it."""
    directory = Path(os.path.normpath(Path(arguments.directory).expanduser().absolute()))
    name = arguments.name or re.sub(r"[^A-Za-z0-9_.-]", "-", directory.name).lstrip("_.-") or "lab"
    write_lab(directory, name)
    link = directory / "result"
    dag_file = directory / f"repx_{_module(name)}.py"
    print(
        f"Wrote the lab {name!r} to {directory}.\n\n"
        "  Build it:   nix --extra-experimental-features 'nix-command flakes' build"
        f" {shlex.quote(f'path:{directory}#lab')} --out-link {shlex.quote(str(link))}\n"
        f"  Serve it:   copy {dag_file} into Airflow's DAGs folder\n"
        "  Jobs run under base_path: set AIRFLOW__REPX__BASE_PATH to a directory for inputs, outputs and logs."
    )


def write_lab(directory: Path, name: str) -> None:
    """Write the template lab, repx-lib and a DAG file into a directory that does not exist or is empty.

    A new directory appears at once or not at all; an empty one stays the same directory, since it may be somebody's
    working directory or a mount. Raises `RepxError` when there is something already, or for a name that DAGs refuse.
    """
    if not _NAME.fullmatch(name):
        raise RepxError(
            f"--name {name!r}: a lab's name consists of letters, digits, '_', '.' and '-', begins with a letter or a"
            " digit, and has at most 96 characters."
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RepxError(f"{directory}: is there already and not empty. Choose another directory.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    package = files("airflow_provider_repx")
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".repx-init-") as temporary:
        draft = Path(temporary) / "lab"
        with as_file(package / "templates" / "lab") as template, as_file(package / "nix") as library:
            shutil.copytree(template, draft)
            shutil.copytree(library, draft / "nix" / "repx-lib", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        file = draft / f"repx_{_module(name)}.py"
        file.write_text(_DAG_FILE.format(lab=str(directory / "result"), name=name))
        _make_writable(draft)
        if not directory.exists():
            draft.replace(directory)
            return
        for entry in sorted(draft.iterdir()):
            entry.replace(directory / entry.name)


def _module(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _make_writable(folder: Path) -> None:
    """Files copied from an installed package may be read-only; these are the user's own."""
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode | 0o200)
