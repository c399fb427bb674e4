"""Which versions of a bundle are in use, and notes about labs, in Airflow's own database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

_PROGRAM = """
import json
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow_provider_repx.lab_versions import note_lab, versions_in_use
from sqlalchemy import select

def run(dag_id, run_id, version, state):
    made = DagRun(dag_id=dag_id, run_id=run_id, run_type="manual", state=state, bundle_version=version)
    return made

with create_session() as session:
    for name, version in (("ising", "seen-now"), ("other", "of-other")):
        session.add(DagBundleModel(name=name, version=version))
    session.flush()
    for dag_id, bundle, version, stale in (
        ("now", "ising", "next", False), ("gone", "ising", "of-a-removed-run", True), ("else", "other", "x", False)
    ):
        session.add(DagModel(dag_id=dag_id, bundle_name=bundle, bundle_version=version, is_stale=stale))
    session.flush()
    session.add_all([
        run("now", "1", "running", "running"), run("now", "2", "queued", "queued"), run("now", "3", "done", "success"),
        run("now", "4", "bad", "failed"), run("gone", "1", "still-running", "running"),
        run("else", "1", "foreign", "running"), run("now", "5", None, "running"),
    ])
    session.add(run("now", "noted", None, "success"))
with create_session() as session:
    session.scalar(select(DagRun).where(DagRun.run_id == "noted")).note = "mine"
note_lab("now", "1", "RepX lab ising: id x, git y")
note_lab("now", "noted", "RepX lab")
note_lab("now", "deleted", "RepX lab")
with create_session() as session:
    notes = {run_id: session.scalar(select(DagRun).where(DagRun.dag_id == "now", DagRun.run_id == run_id)).note
             for run_id in ("1", "noted")}
print(json.dumps({"in use": sorted(versions_in_use("ising")), "notes": notes}))
"""


def test_unfinished_dag_runs_and_the_next_one_use_their_versions(tmp_path: Path) -> None:
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True, timeout=120)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "in use": ["next", "queued", "running", "seen-now", "still-running"],
        "notes": {"1": "RepX lab ising: id x, git y", "noted": "mine"},
    }
