"""A lab as a versioned DAG bundle: a DAG run keeps the lab that it started with."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion

from airflow_provider_repx.bundles.roots import keep_lab
from airflow_provider_repx.errors import LabNotFoundError, TargetError

__all__ = ["RepxLabBundle"]

_DAG_FILE = '''"""The DAGs of RepX lab {name}, version {version}. Written by its bundle; changes are lost."""

from airflow_provider_repx import repx_dags

globals().update(repx_dags(**{arguments}))
'''


# No lab directory of a Nix store is called so.
_UNBUILT = "not-built"


class RepxLabBundle(BaseDagBundle):
    """Serves the DAGs of one lab, in as many versions as there are builds of it.

    A version is the name of the lab's directory in the Nix store (or in whatever folder holds one directory per build).
    `lab` is the out link of the build: when it points to another directory, that is the next version. Each version has
    a folder with one DAG file that names its lab by its real path, so that Airflow, which parses the version that a
    DAG run was created with, gets the lab of that DAG run. The lab's store path is kept from garbage collection; the
    scheduler lets go of it once it is no longer served and no unfinished DAG run uses it.

    Configure it in `[dag_processor] dag_bundle_config_list`::

        [{"name": "ising", "classpath": "airflow_provider_repx.bundles.RepxLabBundle",
          "kwargs": {"lab": "/srv/labs/ising/result", "lab_name": "ising"}}]

    While there is no lab yet, but a `flake` among the settings, there is only the DAG that builds it.

    :param lab: the lab's out link or directory
    :param lab_name: what the lab is called in tags and assets; default: the bundle's name
    :param settings: further arguments of `repx_dags`
    :param release_after: seconds after the appearance of a version in which no older one is let go
    """

    supports_versioning = True

    def __init__(
        self,
        *,
        lab: str,
        lab_name: str | None = None,
        settings: dict[str, Any] | None = None,
        release_after: float = 600.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.release_after = release_after
        self.lab = Path(lab).expanduser()
        self.lab_name = lab_name or self.name
        self.settings = settings or {}
        if not self.lab.is_absolute():
            raise TargetError(f"bundle {self.name}: lab: {lab} is relative; give an absolute path.")
        self._current: str | None = self.version

    def initialize(self) -> None:
        """Write the folder of the version that is asked for, or of the newest."""
        self.refresh()
        super().initialize()

    def refresh(self) -> None:
        """Follow the out link, unless this bundle is pinned to a version."""
        if self._is_unbuilt():
            self._current = _UNBUILT
            self._write(_UNBUILT, self.lab)
            return
        directory = self._directory()
        self._current = directory.name
        self._write(directory.name, directory)
        keep_lab(directory, self.roots_dir)

    def get_current_version(self) -> BundleVersion:
        """The name of the lab directory that the DAGs come from."""
        return BundleVersion(version=self._name())

    @property
    def roots_dir(self) -> Path:
        """The folder with one link to each lab version that is kept from garbage collection."""
        return self.base_dir / "roots"

    @property
    def path(self) -> Path:
        """The folder that holds this version's DAG file."""
        return self.versions_dir / self._name()

    def _name(self) -> str:
        return self._current or (_UNBUILT if self._is_unbuilt() else self._directory().name)

    def _is_unbuilt(self) -> bool:
        """Whether there is nothing yet but a DAG that builds the lab."""
        if self.version is not None:
            return self.version == _UNBUILT
        return "flake" in self.settings and not self.lab.exists()

    def _directory(self) -> Path:
        newest = self.lab.resolve()
        directory = newest.parent / self.version if self.version else newest
        if not directory.is_dir() or directory.name != (self.version or newest.name) or directory.name == "..":
            raise LabNotFoundError(
                f"bundle {self.name}: {directory}: no such lab directory"
                + (f" (the out link {self.lab} leads elsewhere by now)" if self.version else "")
                + ". Build the lab, or correct `lab` in the bundle's configuration."
            )
        return directory

    def _write(self, version: str, lab: Path) -> None:
        folder = self.versions_dir / version
        file = folder / f"repx_{re.sub(r'[^A-Za-z0-9_]', '_', self.lab_name)}.py"
        # A DAG that builds the lab moves the link, not this version.
        arguments = {"out_link": str(self.lab), **self.settings, "lab": str(lab), "name": self.lab_name}
        text = _DAG_FILE.format(
            name=json.dumps(self.lab_name), version=json.dumps(version), arguments=_python_literal(arguments)
        )
        if file.is_file() and file.read_text() == text:
            return
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".", suffix=".tmp", delete=False) as temporary:
            temporary.write(text)
        Path(temporary.name).chmod(0o644)
        Path(temporary.name).replace(file)


def _python_literal(arguments: dict[str, Any]) -> str:
    """JSON values as Python source, sorted, so that every process writes the same file."""
    return repr(dict(sorted(json.loads(json.dumps(arguments)).items())))
