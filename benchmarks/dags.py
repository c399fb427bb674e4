"""How long it takes to make DAGs from a lab, and how large they are, by the number of jobs.

    python benchmarks/dags.py [--points 10 1000 10000] [--stages 3] [--chunk 1]

The lab has one run with stages that pair up one-to-one. Each measurement runs in a process of its own; imports are not
counted. *DAG made* is what the DAG processor does; *one task* is what the process of a task spends on the DAG file
before its operator begins, without and with a plan in the cache; *run read* is what that process then spends on reading
the run. *Labels* are the part of the size that grows with the sweep.
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
from airflow_provider_repx.lab import read_lab
from benchmarks.planning import RUN, write_benchmark_lab


def measure(lab: Path, chunk: str) -> None:
    logging.disable()
    started = time.perf_counter()
    dag = repx_dags(lab=lab, base_path="/srv/repx", cpus=32, memory="64G", chunk=chunk)[f"repx_{RUN}"]
    parsed = time.perf_counter() - started
    started = time.perf_counter()
    size = len(json.dumps(DagSerialization.to_dict(dag)))
    serialized = time.perf_counter() - started
    first = dag.get_task("open_lab")
    lab_again = read_lab(lab)
    started = time.perf_counter()
    lab_again.run(RUN)
    figures = {
        "parsed": parsed,
        "serialized": serialized,
        "size": size,
        "labels": len(first.point_labels),
        "instances": sum(chain.width * len(chain.stages) for chain in first.plan.chains),
        "read": time.perf_counter() - started,
    }
    print(json.dumps(figures))


def in_a_process(lab: Path, chunk: str, **environment: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--chunk", chunk, "--measure", str(lab)],
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
    parser.add_argument("--points", type=int, nargs="+", default=[10, 1000, 10000])
    parser.add_argument("--stages", type=int, default=3)
    parser.add_argument("--chunk", default="1")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.chunk)
        return
    print(
        "| points | jobs | task instances | DAG made (s) | serialized (s) | size (KB) | labels (KB) | one task (s) |"
        " with cache (s) | run read (s) |"
    )
    print("| ---: " * 10 + "|")
    for points in arguments.points:
        with tempfile.TemporaryDirectory() as folder:
            lab = Path(folder) / "lab"
            jobs = points * arguments.stages
            write_benchmark_lab(lab, jobs, stages=arguments.stages)
            cache = {"XDG_CACHE_HOME": folder}
            task = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": f"repx_{RUN}", **cache}
            cold = in_a_process(lab, arguments.chunk, **task)
            warm = in_a_process(lab, arguments.chunk, **task)
            whole = in_a_process(lab, arguments.chunk, **{**cache, "XDG_CACHE_HOME": f"{folder}/other"})
        print(
            f"| {points:,} | {jobs:,} | {whole['instances']:,} | {whole['parsed']:.3f} | {whole['serialized']:.3f} |"
            f" {whole['size'] / 1000:.0f} | {whole['labels'] / 1000:.1f} | {cold['parsed']:.3f} |"
            f" {warm['parsed']:.3f} | {warm['read']:.3f} |"
        )


if __name__ == "__main__":
    main()
