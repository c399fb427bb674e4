"""Settings that must be in place before anything imports Airflow."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

_home = tempfile.mkdtemp(prefix="repx-tests-airflow-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    # A developer's own Airflow must neither be touched nor change what the tests see.
    del os.environ[_name]
os.environ["AIRFLOW_HOME"] = _home
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# Fixtures with throwaway Slurm clusters and SSH servers; shared by all tests of a session.
pytest_plugins = ["tests.support.cluster"]
