"""A lab with a scatter-gather stage in the middle, whose parts count their executions and fail on demand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_repx.lab import JobId
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.support.scatter_gather import DIAMOND, StepSpec, read_input, scatter_gather

__all__ = ["Split", "diamond", "steps_of"]


@dataclass(frozen=True)
class Split:
    """source -> split (scatter-gather) -> report for each seed; parts count their executions and fail on demand."""

    folder: Path

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def lab(self) -> Path:
        return self.folder / "lab"

    @property
    def items(self) -> Path:
        """What scatter copies as its work items."""
        return self.folder / "items.json"

    def job(self, stage: str, seed: int) -> JobId:
        return JobId(job_id(f"{stage}-1.1", str(seed)))

    def write(self, *, seeds: int = 1, items: Any = (), steps: Mapping[str, StepSpec] = DIAMOND) -> Path:
        self.items.write_text(json.dumps(items))
        jobs = []
        for seed in range(1, seeds + 1):
            count = f'label="$part:$branch"; label=${{label%:}}; echo "{seed}:$label" >> "{self.folder}/executions"\n'
            count += f'if [ -e "{self.folder}/fail-{seed}:$label" ]; then echo "no luck with $label" >&2; exit 3; fi\n'
            count += f'while [ -e "{self.folder}/hold-{seed}:$label" ]; do sleep 0.1; done\n'
            script = f'[ ! -e "{self.folder}/fail-{seed}:source" ]; echo {seed} > data.txt'
            source = JobSpec(self.job("source", seed), params={"seed": seed}, script=script)
            split = scatter_gather(
                self.job("split", seed),
                items=f'cp "{self.items}" work_items.json',
                steps=steps,
                reads={"seed_file": (source.id, "data")},
                before=count,
            )
            report = JobSpec(
                self.job("report", seed),
                reads={"joined": (split.id, "data")},
                script=f"cat {read_input('joined')} > data.txt",
            )
            jobs += [source, split, report]
        return write_lab(self.lab, [RunSpec("simulation", jobs)])

    def executions(self) -> Counter[str]:
        file = self.folder / "executions"
        return Counter(file.read_text().split()) if file.exists() else Counter()

    def fail(self, label: str) -> Path:
        file = self.folder / f"fail-{label}"
        file.touch()
        return file

    def hold(self, label: str) -> Path:
        """A part waits until this file is gone."""
        file = self.folder / f"hold-{label}"
        file.touch()
        return file

    def result(self, seed: int = 1) -> list[str]:
        return (self.base / "outputs" / self.job("report", seed) / "out/data.txt").read_text().splitlines()


def diamond(item: object) -> str:
    text = json.dumps(item, separators=(",", ":"), ensure_ascii=False)
    return f"join(left(start({text})) right(start({text})))"


def steps_of(seed: int, branches: Sequence[int]) -> dict[str, int]:
    return {f"{seed}:step-{step}:{branch}": 1 for branch in branches for step in DIAMOND}
