"""Labs whose jobs can be watched and steered by tests: they count their executions, wait for gates, fail on demand."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

__all__ = ["Experiment"]


@dataclass(frozen=True)
class Experiment:
    """A folder with the lab `lab`, its store `base`, and files that steer its jobs.

    Every job appends its label to `executions` when it starts. While a file `hold-<label>` is there it waits; if a file
    `fail-<label>` is there it exits with 3.
    """

    folder: Path

    @property
    def lab(self) -> Path:
        return self.folder / "lab"

    @property
    def base(self) -> Path:
        return self.folder / "base"

    def executions(self) -> Counter[str]:
        """How often each job has started, by label."""
        file = self.folder / "executions"
        return Counter(file.read_text().split()) if file.exists() else Counter()

    def hold(self, label: str) -> Path:
        """Make a job wait until the returned file is removed."""
        file = self.folder / f"hold-{label}"
        file.touch()
        return file

    def fail(self, label: str) -> Path:
        """Make a job fail while the returned file is there."""
        file = self.folder / f"fail-{label}"
        file.touch()
        return file

    def job(self, stage: str, label: str, *, version: str = "1", **fields: object) -> JobSpec:
        """A job that writes its label and its pid, and can be steered by its label."""
        folder = shlex.quote(str(self.folder))
        script = (
            f"echo {label} >> {folder}/executions\n"
            f"echo $$ > {folder}/pid-{label}\n"
            f"echo 'begin {label}' >&2\n"
            f"while [ -e {folder}/hold-{label} ]; do sleep 0.05; done\n"
            f"if [ -e {folder}/fail-{label} ]; then echo 'no luck with {label}' >&2; exit 3; fi\n"
            'printf "%s\\n" ' + f'{label} > "$out/data.txt"'
        )
        return JobSpec(job_id(f"{stage}-1.1", f"{label}/{version}"), script=script, **fields)  # type: ignore[arg-type]

    def write(self, *, seeds: int = 2, temperatures: int = 3, version: str = "1", lab: Path | None = None) -> Path:
        """Write prepare -> simulate -> measure over seeds and temperatures, and a run that needs all of it.

        `version` changes the stage `measure`, and nothing else.
        """
        jobs = []
        for seed in range(1, seeds + 1):
            prepare = self.job("prepare", f"p{seed}", params={"seed": seed})
            jobs.append(prepare)
            for number in range(1, temperatures + 1):
                point = f"{seed}.{number}"
                simulate = self.job(
                    "simulate", f"s{point}", params={"temperature": number / 2}, reads={"start": (prepare.id, "data")}
                )
                measure = self.job("measure", f"m{point}", version=version, reads={"spins": (simulate.id, "data")})
                jobs += [simulate, measure]
        table = self.job("gather", "g", version=version)
        return write_lab(
            lab or self.lab,
            [RunSpec("simulation", jobs), RunSpec("analysis", [table], dependencies={"simulation": "hard"})],
            groups={"physics": ["simulation"]},
        )
