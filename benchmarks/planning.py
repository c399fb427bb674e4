"""How long it takes to read and to plan a lab, and the memory that it takes, by the number of jobs.

    python benchmarks/planning.py [--jobs 100 1000 10000] [--repeat 3]

Each lab is written to a temporary folder. Every measurement runs in a process of its own, so that nothing is warm and
the peak of memory is that of one lab; imports are not counted. The best of the repetitions is shown.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from airflow_provider_repx.lab import read_lab
from airflow_provider_repx.plan import plan_run
from airflow_provider_repx.targets import ResourceRule, ResourceRules, ResourceSettings
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

RUN = "benchmark"


@dataclass(frozen=True)
class Figures:
    """Seconds for each part of the way, and the memory (MiB) that the process has gained by its end."""

    read: float
    plan: float
    plan_with_rules: float
    memory: float
    tasks: int
    instances: int


def write_benchmark_lab(folder: Path, jobs: int, stages: int) -> None:
    """One run of `stages` stages that pair up one-to-one, swept over two axes."""
    width = jobs // stages
    specs: list[JobSpec] = []
    for stage in range(stages):
        for point in range(width):
            reads = {"data": (specs[-width].id, "data")} if stage else {}
            params = {"seed": point // 10, "temperature": point % 10 / 10} if stage == 0 else {"threshold": 0.5}
            identifier = job_id(f"stage{stage}-1.1", str(point))
            specs.append(JobSpec(identifier, params=params, reads=reads, hints={"cpus": 1, "mem": "2G"}))
    write_lab(folder, [RunSpec(RUN, specs)])


def measure(folder: Path) -> Figures:
    before = peak_memory()
    started = time.perf_counter()
    lab = read_lab(folder)
    lab.run(RUN)
    read = time.perf_counter()
    plan = plan_run(lab, RUN)
    planned = time.perf_counter()
    used = peak_memory() - before
    rules = ResourceRules(
        rules=tuple(ResourceRule(ResourceSettings(cpus=2), job_id_glob=f"*-stage{number}-*") for number in range(3))
    )
    gc.collect()
    again = time.perf_counter()
    plan_run(lab, RUN, rules=rules)
    return Figures(
        read=read - started,
        plan=planned - read,
        plan_with_rules=time.perf_counter() - again,
        memory=used,
        tasks=len(plan.stages),
        instances=sum(chain.width * len(chain.stages) for chain in plan.chains),
    )


def peak_memory() -> float:
    """The largest memory of this process so far, in MiB.

    From Linux's ``/proc``: what `getrusage` tells begins with the peak of the parent process.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def best_of(folder: Path, repeat: int) -> Figures:
    found = []
    for _ in range(repeat):
        done = subprocess.run(
            [sys.executable, __file__, "--measure", str(folder)], check=True, stdout=subprocess.PIPE, timeout=300
        )
        found.append(Figures(**json.loads(done.stdout)))
    return Figures(
        read=min(figures.read for figures in found),
        plan=min(figures.plan for figures in found),
        plan_with_rules=min(figures.plan_with_rules for figures in found),
        memory=min(figures.memory for figures in found),
        tasks=found[0].tasks,
        instances=found[0].instances,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(asdict(measure(arguments.measure))))
        return
    print("| Jobs | Stages | Task instances | Read (ms) | Plan (ms) | Plan, 3 rules (ms) | Memory (MiB) |")
    print("| ---: | -----: | -------------: | --------: | --------: | -----------------: | -----------: |")
    for jobs in arguments.jobs:
        for stages in (1, 3):
            with tempfile.TemporaryDirectory() as folder:
                write_benchmark_lab(Path(folder), jobs, stages)
                figures = best_of(Path(folder), arguments.repeat)
            print(
                f"| {jobs // stages * stages} | {stages} | {figures.instances} | {1000 * figures.read:.0f} "
                f"| {1000 * figures.plan:.0f} | {1000 * figures.plan_with_rules:.0f} | {figures.memory:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
