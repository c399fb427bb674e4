"""How long a sweep of trivial jobs takes on a real Slurm from Airflow, beside a bare job array in the same run.

    python benchmarks/slurm_airflow.py [--jobs 1000] [--worker-jobs 100] [--set NAME=VALUE ...]

Starts a throwaway Slurm and an Airflow (SQLite, LocalExecutor) in temporary folders. Rows: (a) one bare
`sbatch --array` of empty scripts; (a2) one that runs the very scripts of (b) and leaves the same folders, logs, record
and marker of each; (b) this provider, one task instance per job, started from the triggerer; (b2) the same with
`do_xcom_push` off; (c) as (b), started on workers; (d) a mapped `BashOperator` that runs `sbatch --wait` on a worker;
(e) Airflow alone: as many task instances as in (b) that start from the triggerer too, with a trigger of Airflow's own
that ends at once, and without any job.
Rows (c) and (d) are far slower, so they get fewer jobs. Seconds are from the trigger to the end of the last job's task;
rates compare. Airflow is there, and idle, during (a) and (a2). Unlike on a cluster, the nodes take their processor time
from Slurm's controller and from Airflow. Memory is the largest of unique memory (USS) during (b).

`--set NAME=VALUE` sets a variable for Airflow, such as AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME=5.
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

from airflow_provider_repx.lab import read_lab
from benchmarks.sweeps import Memory
from tests.support.airflow import deploy_dag_file
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tools.airflow_local import AirflowInstance, DagRun
from tools.airflow_local.waiting import wait_until
from tools.cluster import ThrowawaySlurm

TIMEOUT = 1800.0

AS_USUAL = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
}
"""Airflow's own defaults, instead of those of this project's tests, which are impatient."""


@dataclass(frozen=True)
class Row:
    what: str
    jobs: int
    seconds: float

    def __str__(self) -> str:
        return f"| {self.what} | {self.jobs:,} | {self.seconds:.0f} | {self.jobs / self.seconds:.1f} |"


EMPTY = "#!/bin/sh\necho 1 >/dev/null\n"

SAME_WORK = """#!/usr/bin/env bash
mapfile -t -s "$SLURM_ARRAY_TASK_ID" -n 1 jobs <{jobs}
folder={outputs}/${{jobs[0]##*/}}
mkdir -p "$folder/out" "$folder/repx"
echo '{{}}' >"$folder/inputs.json"
echo '{{}}' >"$folder/parameters.json"
"${{jobs[0]}}/bin/main" "$folder/out" "$folder/inputs.json" "$folder/parameters.json" \\
  >"$folder/repx/stdout.log" 2>"$folder/repx/stderr.log"
status=$?
printf '{{"exit_code":%d,"slurm_id":"%s"}}\\n' "$status" "$SLURM_JOB_ID" >"$folder/repx/.record"
mv "$folder/repx/.record" "$folder/repx/attempt.json"
if (( status )); then touch "$folder/repx/FAIL"; else touch "$folder/repx/SUCCESS"; fi
exit "$status"
"""


def bare_array(cluster: ThrowawaySlurm, jobs: int, script: str = EMPTY) -> float:
    """One array, from its submission until nothing of it is left in the queue."""
    started = time.perf_counter()
    cluster.run("sbatch", f"--array=0-{jobs - 1}", "--output=/dev/null", stdin=script)
    while cluster.run("squeue", "-h").stdout.strip():
        time.sleep(0.5)
    return time.perf_counter() - started


def same_work_array(cluster: ThrowawaySlurm, folder: Path, jobs: int) -> float:
    """The same for an array that runs the scripts of a lab, with a folder, logs, a record and a marker for each."""
    lab = sweep(folder / "bare", jobs)
    names = folder / "bare-jobs"
    names.write_text("".join(f"{lab}/jobs/{job}\n" for job in read_lab(lab).run("benchmark").jobs))
    outputs = folder / "bare-outputs"
    took = bare_array(cluster, jobs, SAME_WORK.format(jobs=names, outputs=outputs))
    assert sum(1 for _ in outputs.glob("*/repx/SUCCESS")) == jobs
    return took


def sweep(folder: Path, jobs: int) -> Path:
    specs = [
        JobSpec(job_id("work-1.1", str(number)), script='echo 1 > "$out/data.txt"', params={"number": number})
        for number in range(jobs)
    ]
    return write_lab(folder, [RunSpec("benchmark", specs)])


def ended(airflow: AirflowInstance, dag_id: str, run_id: str) -> DagRun | None:
    run = airflow.api.dag_run(dag_id, run_id)
    return run if run.finished else None


def run_dag(airflow: AirflowInstance, dag_id: str, task_id: str) -> float:
    """From the trigger to the end of the last instance of a task; everything must succeed."""
    triggered = time.time()
    run_id = airflow.api.trigger(dag_id).run_id
    # Asking takes processor time, too.
    run = wait_until(lambda: ended(airflow, dag_id, run_id), timeout=TIMEOUT, what=f"{dag_id} {run_id}", interval=3.0)
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


def from_labs(airflow: AirflowInstance, folder: Path, jobs: int, start: str, *, push: bool = True) -> float:
    name = f"{start}_{jobs}" if push else f"{start}_{jobs}_silent"
    lab = sweep(folder / name, jobs)
    source = f"""
        from airflow_provider_repx import repx_dags
        globals().update(repx_dags(lab={str(lab)!r}, name={name!r}, slurm_conn_id="cluster", start={start!r},
                                   default_args={{"do_xcom_push": {push}}},
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


def airflow_alone(airflow: AirflowInstance, jobs: int) -> float:
    source = f"""
        from datetime import timedelta
        from airflow.sdk import DAG, BaseOperator, task_group
        from airflow.triggers.base import StartTriggerArgs

        class Nothing(BaseOperator):
            def __init__(self, **arguments):
                super().__init__(**arguments)
                self.start_trigger_args = StartTriggerArgs(
                    trigger_cls="airflow.providers.standard.triggers.temporal.TimeDeltaTrigger",
                    trigger_kwargs={{"delta": timedelta(0), "end_from_trigger": True}},
                    next_method="execute", next_kwargs=None, timeout=None)
                self.start_from_trigger = True

            def execute(self, context, event=None): ...

        with DAG("alone", schedule=None, is_paused_upon_creation=False, max_active_tasks={jobs}):
            @task_group(prefix_group_id=False)
            def points(index):
                Nothing(task_id="work")
            points.expand(index=list(range({jobs})))
    """
    deploy_dag_file(airflow, "alone.py", source, "alone")
    return run_dag(airflow, "alone", "work")


def main() -> None:
    parser = argparse.ArgumentParser(description="Rates of jobs on Slurm from Airflow.")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--worker-jobs", type=int, default=100)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable for Airflow")
    asked = parser.parse_args()
    rows: list[Row] = []

    def measured(what: str, jobs: int, seconds: float) -> None:
        rows.append(Row(what, jobs, seconds))
        print(rows[-1], flush=True)

    with tempfile.TemporaryDirectory() as name, ThrowawaySlurm() as cluster:
        folder = Path(name)
        connection = json.dumps({"conn_type": "slurm", "extra": {"base_path": str(folder / "store")}})
        given = dict(setting.split("=", 1) for setting in asked.set)
        overrides = {**AS_USUAL, **cluster.env, "AIRFLOW_CONN_CLUSTER": connection, **given}
        with AirflowInstance(folder / "airflow", overrides=overrides) as airflow:
            jobs, few = asked.jobs, asked.worker_jobs
            measured("(a) one bare `sbatch --array`, empty", jobs, bare_array(cluster, jobs))
            measured("(a2) one bare `sbatch --array`, same work", jobs, same_work_array(cluster, folder, jobs))
            # Each look takes a tenth of a second of a processor.
            with Memory(airflow, interval=5.0) as memory:
                measured("(b) started from the triggerer", jobs, from_labs(airflow, folder, jobs, "auto"))
            silent = from_labs(airflow, folder, jobs, "auto", push=False)
            measured("(b2) as (b), without XComs of jobs", jobs, silent)
            alone = min(jobs, 1000)
            measured("(e) Airflow alone, no jobs", alone, airflow_alone(airflow, alone))
            if few:
                measured("(c) started on workers", few, from_labs(airflow, folder, few, "worker"))
                measured("(d) `sbatch --wait` on workers", few, from_sbatch_wait(airflow, few))
    print("memory (MiB): " + ", ".join(f"{name} {size / 2**20:.0f}" for name, size in memory.largest.items()))
    print("\n| | jobs | seconds | jobs a second |\n| --- | ---: | ---: | ---: |")
    print("\n".join(map(str, rows)))


if __name__ == "__main__":
    main()
