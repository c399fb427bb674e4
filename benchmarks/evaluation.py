"""Cost of evaluating and building labs of 100, 1,000 and 10,000 jobs: wall time, CPU time and peak memory.

    python benchmarks/evaluation.py [--jobs 100 1000 10000] [--repeat 3] [--home DIR]

Three kinds of labs: `static`, one stage whose script refers to its parameters in bash; `chain`, three stages with a zip
and a product; `dynamic`, one stage whose name, outputs, resources and script differ from job to job. CPU time is that
of nix and of the program that it starts, and excludes waiting for a busy disk: compare it, and ratios within one run.
Peak memory is the largest of a single process. Growth is CPU time per job, relative to the smallest lab.

Then the start of one job script, from its first line to the stage's own text, beside bare bash, and beside a script
that takes the same steps with jq, chmod and find, as RepX's do.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from airflow_provider_repx.nix.assemble.scripts import compose  # noqa: E402 - the path is set above
from tests.support.nix import LIBRARY, Nix  # noqa: E402 - the path is set above

STAGES = {
    "static": """
      params.seed = utils.range 1 jobs;
      pipelines = [ (mkPipe {
        only = callStage {
          pname = "only";
          parameters.seed = 0;
          outputs.data = "$out/data";
          run = { outputs, parameters, ... }: ''echo "${parameters.seed}" > "${outputs.data}"'';
        } [ ];
      }) ];
    """,
    "chain": """
      params = {
        seed = utils.range 1 (jobs / 21 + 1);
        point = utils.zip { rate = map (n: n * 0.1) (utils.range 1 10); label = map toString (utils.range 1 10); };
      };
      pipelines = [ (mkPipe rec {
        first = callStage {
          pname = "first";
          params.seed = 0;
          outputs.data = "$out/data";
          run = { outputs, params, ... }: ''echo ${toString params.seed} > "${outputs.data}"'';
        } [ ];
        second = callStage {
          pname = "second";
          params = { seed = 0; rate = 0.5; label = ""; };
          inputs.data = "";
          outputs.table = "$out/table";
          run = { inputs, outputs, params, ... }: ''cp "${inputs.data}" "${outputs.table}"; echo ${params.label}'';
        } [ first ];
        third = callStage {
          pname = "third";
          inputs.table = "";
          outputs.result = "$out/result";
          run = { inputs, outputs, ... }: ''cp "${inputs.table}" "${outputs.result}"'';
        } [ second ];
      }) ];
    """,
    "dynamic": """
      params.seed = utils.range 1 jobs;
      pipelines = [ (mkPipe {
        only = callStage {
          pname = { params }: "only-${toString params.seed}";
          params.seed = 0;
          outputs = { params }: { data = "$out/data-${toString params.seed}"; };
          resources = { params }: { mem = "${toString params.seed}M"; cpus = 1; };
          run = { outputs, params, ... }: ''echo ${toString params.seed} > "${outputs.data}"'';
        } [ ];
      }) ];
    """,
}


@dataclass(frozen=True)
class Cost:
    """Seconds and mebibytes of one command."""

    wall: float
    cpu: float
    memory: float


def expression(kind: str, jobs: int, mark: str) -> str:
    return f"""
      let repx-lib = import {LIBRARY}; pkgs = repx-lib.hostPkgs; jobs = {jobs};
      in with repx-lib; mkLab {{
        inherit pkgs repx-lib;
        gitHash = "{mark}";
        lab_version = "1";
        containerMode = "none";
        runs.sim = callRun {{ name = "sim"; {STAGES[kind]} }} [ ];
      }}
    """


def measure(nix: Nix, *arguments: str) -> Cost:
    """Run nix in a process of its own, so that the peak of memory is that of this command."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        started = time.perf_counter()
        finished = subprocess.run(
            ["nix", *arguments], capture_output=True, env=nix.environment(), check=False, timeout=1800
        )
        wall = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        os.write(writer, f"{wall} {used.ru_utime + used.ru_stime} {used.ru_maxrss / 1024}".encode())
        os._exit(finished.returncode)
    os.close(writer)
    with os.fdopen(reader) as stream:
        wall, cpu, memory = (float(word) for word in stream.read().split())
    _, status = os.waitpid(child, 0)
    if status != 0:
        sys.exit(f"nix {' '.join(arguments)} failed")
    return Cost(wall, cpu, memory)


WITH_PROGRAMS = """#!/usr/bin/env bash
set -euo pipefail
out=$1 inputs_json=$2 parameters_json=$3
declare -A inputs parameters
while IFS== read -r name value; do inputs[$name]=$value; done \\
  < <(jq -r 'to_entries[] | "\\(.key)=\\(.value | tostring)"' "$inputs_json")
while IFS== read -r name value; do parameters[$name]=$value; done \\
  < <(jq -r 'to_entries[] | "\\(.key)=\\(.value | tostring)"' "$parameters_json")
for path in "${inputs[@]}"; do test -r "$path"; done
mkdir -p "$out"
chmod -R u+w "$out"
find "$out" -mindepth 1 ! -name 'slurm-*.out' -delete
cd "$out"
"""


def script_starts(folder: Path, starts: int = 60) -> dict[str, float]:
    """Median milliseconds of each way to start a script, taken in turns."""
    given = folder / "given"
    given.touch()
    (folder / "inputs.json").write_text(json.dumps({f"input {number}": str(given) for number in range(4)}, indent=2))
    (folder / "parameters.json").write_text(json.dumps({f"p{number}": number / 7 for number in range(8)}, indent=2))
    (folder / "bash").write_text("#!/usr/bin/env bash\n")
    (folder / "repx-lib").write_bytes(compose("/usr/bin/env bash", ("/usr/bin",), "true", {}))
    (folder / "with jq and find").write_text(WITH_PROGRAMS)
    names = ["bash", "repx-lib", *(["with jq and find"] if shutil.which("jq") else [])]
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(starts):
        for name in names:
            command = ["bash", name, str(folder / "out"), str(folder / "inputs.json"), str(folder / "parameters.json")]
            started = time.perf_counter()
            subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=60)
            taken[name].append(1_000 * (time.perf_counter() - started))
    return {name: statistics.median(times) for name, times in taken.items()}


def median(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.cpu for cost in costs),
        max(cost.memory for cost in costs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--repeat", type=int, default=3, help="builds of each lab; the median is shown")
    parser.add_argument("--home", type=Path, help="where the store is put (by default a temporary folder)")
    arguments = parser.parse_args()
    if shutil.which("nix") is None:
        sys.exit("needs the nix command")
    home = Path(tempfile.mkdtemp(prefix="repx-benchmark-", dir=arguments.home))
    nix = Nix(home)
    # The host's tools are made once per store, whatever lab comes first.
    measure(nix, "build", "--no-link", "--impure", "--expr", expression("static", 1, "first"))
    print(f"{'lab':9}{'jobs':>7}  {'evaluation':^24}  {'evaluation and build':^24}  {'growth':>7}")
    print(f"{'':16}  {'wall s':>8}{'CPU s':>8}{'MiB':>8}  {'wall s':>8}{'CPU s':>8}{'MiB':>8}")
    try:
        for kind in STAGES:
            per_job: list[float] = []
            for jobs in arguments.jobs:
                evaluations, builds = [], []
                for attempt in range(arguments.repeat):
                    # Another git hash makes another lab of the same jobs.
                    text = expression(kind, jobs, f"{kind}{attempt}")
                    evaluations.append(measure(nix, "eval", "--impure", "--expr", f"({text}).drvPath"))
                    builds.append(measure(nix, "build", "--no-link", "--impure", "--expr", text))
                evaluation, build = median(evaluations), median(builds)
                per_job.append(build.cpu / jobs)
                print(
                    f"{kind:9}{jobs:7,}  {evaluation.wall:8.2f}{evaluation.cpu:8.2f}{evaluation.memory:8.0f}  "
                    f"{build.wall:8.2f}{build.cpu:8.2f}{build.memory:8.0f}  {per_job[-1] / per_job[0]:7.2f}",
                    flush=True,
                )
        scripts = home / "scripts"
        scripts.mkdir()
        starts = script_starts(scripts)
        print("\nstart of a job script: ms, and ms beyond bash")
        for name, milliseconds in starts.items():
            print(f"{name:18}{milliseconds:8.1f}{milliseconds - starts['bash']:8.1f}")
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(home)], check=False, timeout=600)
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
