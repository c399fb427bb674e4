"""A lab of five runs that depend on each other, with a job each that can be watched and steered; built without Nix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.experiments import Experiment
from tests.support.labs import RunSpec, write_lab

__all__ = ["RUNS", "FiveRuns"]

RUNS = ("preprocess", "train", "evaluate", "visualize", "baseline")


@dataclass(frozen=True)
class FiveRuns:
    """The lab of the examples in RepX's documentation; the job of a run is called as the run.

    `visualize` has a soft dependency on `baseline`. `train` has two jobs, `train` and `train2`.
    """

    experiment: Experiment

    def write(self, *, version: str = "1", lab: Path | None = None) -> Path:
        """Write the lab; `version` changes the job of `evaluate`, and nothing else."""

        def run(name: str, **dependencies: str) -> RunSpec:
            labels = ["train", "train2"] if name == "train" else [name]
            changed = version if name == "evaluate" else "1"
            jobs = [
                self.experiment.job(name, label, version=changed, params={"part": part})
                for part, label in enumerate(labels)
            ]
            return RunSpec(name, jobs, dependencies=dependencies)

        return write_lab(
            lab or self.experiment.lab,
            [
                run("preprocess"),
                run("train", preprocess="hard"),
                run("evaluate", train="hard"),
                run("baseline", preprocess="hard"),
                run("visualize", evaluate="hard", baseline="soft"),
            ],
            groups={
                "ml-pipeline": ["preprocess", "train", "evaluate"],
                "reporting": ["visualize"],
                "baselines": ["baseline"],
            },
            git_hash=version * 40,
        )
