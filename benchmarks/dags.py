"""How long it takes to make DAGs from a lab, and how large they are, by the number of jobs.

    python benchmarks/dags.py [--jobs 100 1000 10000]

The lab has one run with three stages that pair up one-to-one. Each measurement runs in a process of its own; imports
are not counted. *DAG made* is what the DAG processor does; *one task* is what the process of a task does before its job
starts.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_repx import repx_dags
from benchmarks.planning import RUN, write_benchmark_lab


def measure(lab: Path) -> None:
    logging.disable()
    started = time.perf_counter()
    dag = repx_dags(lab=lab, base_path="/srv/repx", cpus=32, memory="64G")[f"repx_{RUN}"]
    parsed = time.perf_counter() - started
    started = time.perf_counter()
    size = len(json.dumps(DagSerialization.to_dict(dag)))
    print(json.dumps({"parsed": parsed, "serialized": time.perf_counter() - started, "size": size}))


def in_a_process(lab: Path, **environment: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--measure", str(lab)],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    print("| jobs | DAG made (s) | serialized (s) | size (KB) | one task (s) |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for jobs in arguments.jobs:
        with tempfile.TemporaryDirectory() as folder:
            write_benchmark_lab(Path(folder), jobs, stages=3)
            whole = in_a_process(Path(folder))
            task = in_a_process(Path(folder), _AIRFLOW_PARSING_CONTEXT_DAG_ID=f"repx_{RUN}")
        print(
            f"| {jobs} | {whole['parsed']:.3f} | {whole['serialized']:.3f} | {whole['size'] / 1000:.0f} |"
            f" {task['parsed']:.3f} |"
        )


if __name__ == "__main__":
    main()
