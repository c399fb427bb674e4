"""1,000 trivial jobs on a real cluster: one bare `sbatch --array`, and this package's client, in one run.

    python benchmarks/slurm.py [--jobs 1000] [--repetitions 3]

Starts a throwaway cluster of its own. Both run the same script as elements of one array; the client also claims, writes
what jobs read, records how each ended, and settles it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from airflow_provider_repx.execution.slurm import (  # noqa: E402 - the path comes first
    Directives,
    SlurmCluster,
    SlurmJob,
    SlurmSettings,
)
from airflow_provider_repx.execution.store import Claimant, OutputStore  # noqa: E402
from airflow_provider_repx.execution.transport import LocalTransport  # noqa: E402
from airflow_provider_repx.lab.models import JobId  # noqa: E402
from tools.cluster import SlurmOptions, ThrowawaySlurm  # noqa: E402

SCRIPT = "#!/bin/bash\nexit 0\n"


def bare(slurm: ThrowawaySlurm, script: Path, jobs: int) -> float:
    """Seconds from one `sbatch --array` to an empty queue."""
    batch = f"#!/bin/bash\nexec {script} out inputs parameters\n"
    begin = time.perf_counter()
    spec = f"--array=0-{jobs - 1}"
    array = slurm.run("sbatch", "--parsable", "--output=/dev/null", spec, stdin=batch).stdout.strip()
    while slurm.run("squeue", "-h", "-j", array, "-o", "%i", check=False).stdout:
        time.sleep(0.25)
    return time.perf_counter() - begin


def client(slurm: ThrowawaySlurm, script: Path, jobs: int, base: Path) -> tuple[float, str]:
    """Seconds from the first `run` to the last outcome, and the processes that were started."""
    store = OutputStore(base)

    def job(number: int) -> SlurmJob:
        paths = store.job(f"trivial-{number}")
        return SlurmJob(
            name=f"trivial-{number}",
            paths=paths,
            executable=script,
            inputs=paths.inputs,
            parameters=paths.parameters,
            directives=Directives(),
            claimant=Claimant("benchmark", "run", "trivial", number),
            files={paths.inputs: b"{}", paths.parameters: b"{}"},
            completes=JobId(f"trivial-{number}"),
        )

    async def run() -> tuple[float, str]:
        cluster = SlurmCluster(SlurmSettings(base), LocalTransport(environment=slurm.env))
        begin = time.perf_counter()
        outcomes = await asyncio.gather(*(cluster.run(job(number)) for number in range(jobs)))
        seconds = time.perf_counter() - begin
        assert all(outcome.status == "succeeded" for outcome in outcomes)
        await cluster.close()
        return seconds, str(cluster.statistics)

    return asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as folder, ThrowawaySlurm(SlurmOptions()) as slurm:
        script = Path(folder) / "trivial"
        script.write_text(SCRIPT)
        script.chmod(0o755)
        print(slurm.run("sbatch", "--version").stdout.strip())
        for repetition in range(options.repetitions):
            seconds = bare(slurm, script, options.jobs)
            ours, processes = client(slurm, script, options.jobs, Path(folder) / f"base-{repetition}")
            ratios.append(ours / seconds)
            print(f"{options.jobs} jobs: bare array {seconds:.1f} s, client {ours:.1f} s, ratio {ratios[-1]:.2f}")
            print(f"    {processes}")
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
