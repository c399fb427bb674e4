"""Settings that must be in place before anything imports Airflow."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

_home = tempfile.mkdtemp(prefix="repx-tests-airflow-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    # A developer's own Airflow must neither be touched nor change what the tests see.
    del os.environ[_name]
os.environ["AIRFLOW_HOME"] = _home
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# Fixtures with throwaway Slurm clusters and SSH servers; shared by all tests of a session.
pytest_plugins = ["tests.support.cluster"]

_INTEGRATION = Path(__file__).parent / "integration"
# What takes longest begins first, so that both processes of `make test` end at about the same time.
_LONGEST = ("airflow", "tools", "execution", "orchestration", "slurm_airflow", "cli", "nix", "building")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests in one process that share an Airflow, a cluster, or a built lab."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item.path)))
    items.sort(key=lambda item: _place(item.path))


def _group(file: Path) -> str:
    if not file.is_relative_to(_INTEGRATION):
        return str(file)
    folder = file.relative_to(_INTEGRATION).parent
    return str(file if folder.name == "tools" else folder)


def _place(file: Path) -> int:
    part = file.relative_to(_INTEGRATION).parts[0] if file.is_relative_to(_INTEGRATION) else ""
    return _LONGEST.index(part) if part in _LONGEST else len(_LONGEST)
