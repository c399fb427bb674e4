"""`airflow repx init`."""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.errors import RepxError

__all__ = ["init", "write_lab"]

_DAG_FILE = '''"""DAGs of the lab {name}: copy or link this file into Airflow's DAGs folder."""

from airflow_provider_repx import repx_dags

globals().update(repx_dags(lab={lab!r}, name={name!r}))
'''


@command
def init(arguments: argparse.Namespace) -> None:
    """Write a lab and say what to do with it."""
    directory = Path(arguments.directory).expanduser().absolute()
    name = arguments.name or re.sub(r"[^A-Za-z0-9_.-]", "-", directory.name)
    write_lab(directory, name)
    print(
        f"Wrote the lab {name!r} to {directory}.\n\n"
        "  Build it:   nix --extra-experimental-features 'nix-command flakes' build"
        f" path:{directory}#lab --out-link {directory}/result\n"
        f"  Serve it:   copy {directory}/repx_{_module(name)}.py into Airflow's DAGs folder\n"
        "  Jobs run under base_path: set AIRFLOW__REPX__BASE_PATH to a directory for inputs, outputs and logs."
    )


def write_lab(directory: Path, name: str) -> None:
    """Write the template lab, repx-lib and a DAG file into a directory that does not exist or is empty.

    Appears at once or not at all. Raises `RepxError` when there is something already.
    """
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
        if directory.exists():
            directory.rmdir()
        draft.replace(directory)


def _module(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _make_writable(folder: Path) -> None:
    """Files copied from an installed package may be read-only; these are the user's own."""
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode | 0o200)
