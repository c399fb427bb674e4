"""How long a sweep of trivial jobs takes on a real Slurm from Airflow, beside a bare job array in the same run.

    python benchmarks/slurm_airflow.py [--jobs 1000] [--worker-jobs 100]

Starts a throwaway Slurm and an Airflow (SQLite, LocalExecutor) in temporary folders. Rows: (a) one bare
`sbatch --array`; (b) this provider, one task instance per job, started from the triggerer; (c) the same, started on
workers; (d) a mapped `BashOperator` that runs `sbatch --wait` on a worker. The last two are far slower, so they get
fewer jobs. Seconds are from the trigger to the end of the last job's task; rates compare.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.airflow import deploy_dag_file
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tools.airflow_local import AirflowInstance
from tools.cluster import ThrowawaySlurm

TIMEOUT = 1800.0


@dataclass(frozen=True)
class Row:
    what: str
    jobs: int
    seconds: float

    def __str__(self) -> str:
        return f"| {self.what} | {self.jobs:,} | {self.seconds:.0f} | {self.jobs / self.seconds:.1f} |"


def bare_array(cluster: ThrowawaySlurm, jobs: int) -> float:
    """One array, from its submission until nothing of it is left in the queue."""
    started = time.perf_counter()
    script = "#!/bin/sh\necho 1 >/dev/null\n"
    cluster.run("sbatch", f"--array=0-{jobs - 1}", "--output=/dev/null", stdin=script)
    while cluster.run("squeue", "-h").stdout.strip():
        time.sleep(0.5)
    return time.perf_counter() - started


def sweep(folder: Path, jobs: int) -> Path:
    specs = [
        JobSpec(job_id("work-1.1", str(number)), script='echo 1 > "$out/data.txt"', params={"number": number})
        for number in range(jobs)
    ]
    return write_lab(folder, [RunSpec("benchmark", specs)])


def run_dag(airflow: AirflowInstance, dag_id: str, task_id: str) -> float:
    """From the trigger to the end of the last instance of a task; everything must succeed."""
    triggered = time.time()
    run_id = airflow.api.trigger(dag_id).run_id
    run = airflow.api.wait_for_run(dag_id, run_id, timeout=TIMEOUT)
    assert run.state == "success", run
    page: dict[str, Any] = {"total_entries": 1}
    ends: list[float] = []
    while len(ends) < page["total_entries"]:
        page = airflow.api.request(
            "GET",
            f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances",
            query={"task_id": task_id, "limit": 1000, "offset": len(ends)},
        )
        ends += [datetime.fromisoformat(item["end_date"]).timestamp() for item in page["task_instances"]]
    return max(ends) - triggered


def from_labs(airflow: AirflowInstance, folder: Path, jobs: int, start: str) -> float:
    name = f"{start}_{jobs}"
    lab = sweep(folder / name, jobs)
    source = f"""
        from airflow_provider_repx import repx_dags
        globals().update(repx_dags(lab={str(lab)!r}, name={name!r}, slurm_conn_id="cluster", start={start!r},
                                   base_path={str(folder / f"store-{name}")!r}, dag_id_prefix="{name}_"))
    """
    deploy_dag_file(airflow, f"{name}.py", source, f"{name}_benchmark")
    return run_dag(airflow, f"{name}_benchmark", "work")


def from_sbatch_wait(airflow: AirflowInstance, jobs: int) -> float:
    source = f"""
        from airflow.sdk import DAG
        from airflow.providers.standard.operators.bash import BashOperator
        command = "sbatch --wait --output=/dev/null --wrap 'echo 1' # "
        with DAG("sbatch_wait", schedule=None, is_paused_upon_creation=False):
            BashOperator.partial(task_id="work").expand(bash_command=[command + str(n) for n in range({jobs})])
    """
    deploy_dag_file(airflow, "sbatch_wait.py", source, "sbatch_wait")
    return run_dag(airflow, "sbatch_wait", "work")


def main() -> None:
    parser = argparse.ArgumentParser(description="Rates of jobs on Slurm from Airflow.")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--worker-jobs", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ThrowawaySlurm() as cluster:
        folder = Path(name)
        connection = json.dumps({"conn_type": "slurm", "extra": {"base_path": str(folder / "store")}})
        overrides = {**cluster.env, "AIRFLOW_CONN_CLUSTER": connection}
        with AirflowInstance(folder / "airflow", overrides=overrides) as airflow:
            rows = [Row("(a) one bare `sbatch --array`", asked.jobs, bare_array(cluster, asked.jobs))]
            print(rows[-1], flush=True)
            rows.append(
                Row("(b) started from the triggerer", asked.jobs, from_labs(airflow, folder, asked.jobs, "auto"))
            )
            print(rows[-1], flush=True)
            few = asked.worker_jobs
            rows.append(Row("(c) started on workers", few, from_labs(airflow, folder, few, "worker")))
            print(rows[-1], flush=True)
            rows.append(Row("(d) `sbatch --wait` on workers", few, from_sbatch_wait(airflow, few)))
            print(rows[-1], flush=True)
    print("\n| | jobs | seconds | jobs a second |\n| --- | ---: | ---: | ---: |")
    print("\n".join(map(str, rows)))


if __name__ == "__main__":
    main()
