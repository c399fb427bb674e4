"""How long a sweep of trivial jobs takes on this machine from Airflow, end to end, beside plain bash in the same run.

    python benchmarks/sweeps.py [--jobs 1000] [--stages 1] [--chunk auto] [--cpus 2] [--done] [--peer] [--no-again]

Starts an Airflow of its own (SQLite, LocalExecutor) in a temporary folder. *bash* runs the very same scripts with as
many workers as CPUs are given, without claims, records or logs. *first run* is from the DAG run's start to its end;
*again* is a second DAG run, in which every job is done already; `--no-again` leaves it out. *peer* (`--peer`) is one
mapped `BashOperator` in the same Airflow that runs the same scripts, one task instance for each. With `--done` the
store says so from the beginning, and nothing is run at all. Memory is the largest of unique memory (USS) of each
component with its children, looked at once a second.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.lab import read_lab
from tests.support.airflow import deploy_dag_file
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tools.airflow_local import AirflowApi, AirflowInstance

RUN = "benchmark"
DAG_ID = f"repx_{RUN}"
TIMEOUT = 3600.0


def write_sweep(folder: Path, points: int, stages: int) -> None:
    """One run: `points` sweep points, each `stages` jobs that write one line."""
    specs: list[JobSpec] = []
    for point in range(points):
        reads: dict[str, tuple[str, str]] = {}
        for stage in range(stages):
            params = {"seed": point // 10, "temperature": point % 10 / 10} if stage == 0 else {}
            identifier = job_id(f"stage{stage}-1.1", str(point))
            specs.append(JobSpec(identifier, script='echo 1 > "$out/data.txt"', params=params, reads=reads))
            reads = {"data": (identifier, "data")}
    write_lab(folder, [RunSpec(RUN, specs)])


def bash_seconds(lab: Path, folder: Path, workers: int) -> float:
    """The time that bash needs for every script of the lab, `workers` at once."""
    folder.mkdir()
    scripts = folder / "scripts"
    scripts.write_text("".join(f"{lab}/jobs/{job}/bin/main\n" for job in read_lab(lab).run(RUN).jobs))
    program = (
        'number=0; while read -r script; do (( ++number % $3 == $4 )) && "$script" "$2/$number" /dev/null /dev/null;'
        ' done <"$1"; exit 0'
    )
    started = time.perf_counter()
    running = [
        subprocess.Popen(["bash", "-c", program, "bash", str(scripts), str(folder), str(workers), str(worker)])
        for worker in range(workers)
    ]
    for process in running:
        process.wait()
    return time.perf_counter() - started


def mark_all_done(lab: Path, base: Path) -> None:
    """A store in which every job of the lab is done."""
    for job in read_lab(lab).run(RUN).jobs:
        paths = OutputStore(base).job(job)
        paths.repx.mkdir(parents=True)
        paths.success.touch()


class Memory:
    """The largest unique memory of each component of an Airflow, in bytes, looked at every `interval` seconds."""

    def __init__(self, instance: AirflowInstance, *, interval: float = 1.0) -> None:
        self.largest: Counter[str] = Counter()
        self._instance = instance
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:  # noqa: PYI034 - `Self` needs Python 3.11, and nobody derives from this class
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._interval):
            for name, status in self._instance.status().items():
                # Of the scheduler's children, the workers come and go: only it itself is meant.
                used = _unique(status.pid, children=name != "scheduler")
                self.largest[name] = max(self.largest[name], used)


def _unique(pid: int, *, children: bool) -> int:
    total = 0
    try:
        process = psutil.Process(pid)
        for member in [process, *(process.children(recursive=True) if children else [])]:
            total += member.memory_full_info().uss
    except psutil.Error:
        pass
    return total


PEER = """
from pathlib import Path
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
with DAG("peer", schedule=None, is_paused_upon_creation=False):
    commands = [
        f"exec {{script}} {folder}/peer-{{number}} /dev/null /dev/null"
        for number, script in enumerate(Path("{scripts}").read_text().split())
    ]
    BashOperator.partial(task_id="work").expand(bash_command=commands)
"""


def peer_seconds(instance: AirflowInstance, folder: Path) -> float:
    """The time that a mapped `BashOperator` needs for the scripts that `bash_seconds` has listed."""
    deploy_dag_file(instance, "peer.py", PEER.format(folder=folder, scripts=folder / "scripts"), "peer")
    run = instance.api.wait_for_run("peer", instance.api.trigger("peer").run_id, timeout=TIMEOUT)
    assert run.state == "success", run
    return seconds_of(instance.api, run.run_id, "peer")


def seconds_of(api: AirflowApi, run_id: str, dag_id: str = DAG_ID) -> float:
    """From a DAG run's start to its end, as Airflow records it."""
    record: dict[str, Any] = api.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
    begin, end = (datetime.fromisoformat(record[key].replace("Z", "+00:00")) for key in ("start_date", "end_date"))
    return (end - begin).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--stages", type=int, default=1)
    parser.add_argument("--chunk", default="auto")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--done", action="store_true")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--no-again", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        lab, base = folder / "lab", folder / "base"
        write_sweep(lab, arguments.jobs // arguments.stages, arguments.stages)
        if arguments.done:
            mark_all_done(lab, base)
        chunk = arguments.chunk if arguments.chunk == "auto" else int(arguments.chunk)
        source = (
            "from airflow_provider_repx import repx_dags\n"
            f"globals().update(repx_dags(lab={str(lab)!r}, base_path={str(base)!r}, cpus={arguments.cpus},"
            f" chunk={chunk!r}))\n"
        )
        instance = AirflowInstance(folder / "airflow")
        with instance:
            instance.start()
            deploy_dag_file(instance, "benchmark.py", source, DAG_ID)
            api = instance.api
            bash = bash_seconds(lab, folder / "bash", arguments.cpus)
            with Memory(instance) as memory:
                first = api.wait_for_run(DAG_ID, api.trigger(DAG_ID).run_id, timeout=TIMEOUT)
            bash = min(bash, bash_seconds(lab, folder / "bash-again", arguments.cpus))
            states = Counter(str(task.state) for task in api.task_instances(DAG_ID, first.run_id))
            took = seconds_of(api, first.run_id)
            took_again, states_again = "", Counter[str]()
            if not arguments.no_again:
                again = api.wait_for_run(DAG_ID, api.trigger(DAG_ID).run_id, timeout=TIMEOUT)
                states_again = Counter(str(task.state) for task in api.task_instances(DAG_ID, again.run_id))
                took_again = f"{seconds_of(api, again.run_id):.1f}"
            peer = f"{peer_seconds(instance, folder / 'bash'):.1f}" if arguments.peer else ""
            print(api.log_text(DAG_ID, first.run_id, "summary")[-1500:], file=sys.stderr)
    print(f"states: {dict(states)}; again: {dict(states_again)}")
    print(
        "| jobs | stages | chunk | task instances | first run (s) | again (s) | peer (s) | bash (s) |"
        " first run / bash | memory (MiB) |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    used = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in memory.largest.items())
    print(
        f"| {arguments.jobs} | {arguments.stages} | {arguments.chunk} | {sum(states.values())} | {took:.1f} |"
        f" {took_again} | {peer} | {bash:.1f} | {took / bash:.1f} | {used} |"
    )


if __name__ == "__main__":
    main()
