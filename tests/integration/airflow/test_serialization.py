"""Serialized DAGs are the same bytes in every process: otherwise Airflow would make a new DAG version at each parse.

Airflow itself keeps the names of fields, and tags, in sets; it sorts both before it compares, and so does this test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.integration

_PROGRAM = """
import hashlib, json, logging, sys
logging.disable()
from airflow.serialization.serialized_objects import DagSerialization
from airflow_provider_repx import repx_dags
for parse in range(2):
    dags = repx_dags(lab=sys.argv[1], base_path="/srv/repx", cpus=32, memory="64G", chunk=sys.argv[2])
    for dag_id, dag in dags.items():
        data = DagSerialization.to_dict(dag)
        data["dag"]["tags"].sort()
        print(dag_id, hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    jobs = []
    for seed in range(200):
        params = {"seed": seed, "text": f"größe {seed % 3}", "rate": 0.1 * seed, "on": seed % 2 == 0}
        first = JobSpec(job_id("simulate-1.1", str(seed)), params=params, hints={"cpus": 1 + seed % 3})
        jobs += [first, JobSpec(job_id("measure-1.1", str(seed)), reads={"data": (first.id, "data")})]
        jobs.append(JobSpec(job_id("plot-1.1", str(seed)), reads={"data": (first.id, "data")}))
    table = RunSpec("table", [JobSpec(job_id("table-1.1"))], dependencies={"sweep": "hard"})
    return write_lab(folder, [RunSpec("sweep", jobs), table], groups={"all": ["sweep", "table"], "one": ["sweep"]})


def digests(lab: Path, cache: Path, hash_seed: int, chunk: str) -> list[str]:
    """The digest of each DAG, of two parses in one process, and then again from the cache."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM, str(lab), chunk],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "XDG_CACHE_HOME": str(cache)},
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    lines = [line for line in done.stdout.splitlines() if len(line.split()) == 2 and len(line.split()[1]) == 64]
    assert len(lines) == 6
    assert lines[:3] == lines[3:]
    return lines[:3]


@pytest.mark.parametrize("chunk", ["1", "auto"])
def test_dags_are_the_same_bytes_in_every_process(lab: Path, tmp_path: Path, chunk: str) -> None:
    cold = digests(lab, tmp_path / "cache", 1, chunk)
    assert list((tmp_path / "cache").rglob("*.json"))
    assert digests(lab, tmp_path / "cache", 2, chunk) == cold
    assert digests(lab, tmp_path / "other", 3, chunk) == cold
    assert len({line.split()[1] for line in cold}) == 3
