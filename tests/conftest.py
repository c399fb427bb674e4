"""Settings that must be in place before anything imports Airflow."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from tests.support.sharing import shared_scope

_home = tempfile.mkdtemp(prefix="repx-tests-airflow-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    # A developer's own Airflow must neither be touched nor change what the tests see.
    del os.environ[_name]
os.environ["AIRFLOW_HOME"] = _home
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# Fixtures with throwaway Slurm clusters and SSH servers; shared by all tests of a session.
pytest_plugins = ["tests.support.cluster"]

# What takes longest begins first, so that both processes of `make test` end at about the same time.
_LONGEST = ("airflow", "tools", "execution", "orchestration", "slurm_airflow", "cli", "nix", "building")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""

    def place(item: pytest.Item) -> int:
        parts = Path(item.nodeid.partition("::")[0]).parts
        return _LONGEST.index(parts[2]) if parts[1] == "integration" and parts[2] in _LONGEST else len(_LONGEST)

    items.sort(key=place)


class _SharedTogether(LoadScopeScheduling):
    """Tests that share an Airflow, a cluster or a built lab run in one process."""

    def _split_scope(self, nodeid: str) -> str:
        return shared_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Take the place of `--dist`; see xdist's documentation."""
    return _SharedTogether(config, log)
