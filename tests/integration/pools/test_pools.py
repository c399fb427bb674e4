"""Pools in Airflow's own database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

_PRELUDE = """
import json
from airflow.models.pool import Pool
from airflow.utils.session import create_session
from airflow_provider_repx.plan import PoolPlan
from airflow_provider_repx.pools import ensure_pools, planned_changes
def slots():
    with create_session() as session:
        return {pool.pool: pool.slots for pool in session.query(Pool) if pool.pool != "default_pool"}
def by_hand(name, slots):
    with create_session() as session:
        session.query(Pool).filter(Pool.pool == name).one().slots = slots
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(
        migrate, env={**os.environ, "AIRFLOW_HOME": str(folder)}, check=True, capture_output=True, timeout=120
    )
    return folder


def start(home: Path, program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _PRELUDE + program],
        env={**os.environ, "AIRFLOW_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def python(home: Path, program: str) -> object:
    with start(home, program) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


def test_pools_are_created_resized_by_plan_and_left_to_people(home: Path) -> None:
    found = python(
        home,
        """
small, large = PoolPlan("life", 2, "2 CPUs"), PoolPlan("life", 8, "8 CPUs")
print(json.dumps([
    planned_changes([small]), slots(),
    ensure_pools([small]), slots(),
    ensure_pools([small]),
    by_hand("life", 1), ensure_pools([small]), slots(),
    ensure_pools([large]), slots(),
    ensure_pools([PoolPlan("unknown", None, "")]), slots(),
]))
""",
    )
    assert found == [
        ["create pool life with 2 slots"],
        {},
        ["created pool life with 2 slots"],
        {"life": 2},
        [],
        None,
        [],
        {"life": 1},
        ["resized pool life from 1 to 8 slots"],
        {"life": 8},
        [],
        {"life": 8},
    ]


def test_processes_that_race_for_a_pool_all_go_on(home: Path) -> None:
    program = 'print(json.dumps(ensure_pools([PoolPlan(f"race{n}", 3, "3 CPUs") for n in range(5)])))'
    processes = [start(home, program) for _ in range(3)]
    done = []
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        done += json.loads(output.splitlines()[-1])
    assert sorted(done) == [f"created pool race{n} with 3 slots" for n in range(5)]


def test_a_busy_database_only_delays(home: Path) -> None:
    found = python(
        home,
        """
import sqlite3
from airflow_provider_repx import pools
from airflow import settings
from sqlalchemy import event
event.listen(settings.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=50"))
settings.engine.dispose()
writer = sqlite3.connect(settings.engine.url.database, isolation_level=None)
writer.execute("BEGIN IMMEDIATE")
pools.time.sleep = lambda seconds: writer.in_transaction and writer.rollback()
print(json.dumps([ensure_pools([PoolPlan("busy", 2, "2 CPUs")]), slots()["busy"]]))
""",
    )
    assert found == [["created pool busy with 2 slots"], 2]
