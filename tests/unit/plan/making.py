"""Runs made in memory, and the comparison of plans with golden files."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_repx.lab.models import Executable, InputMapping, Job, JobId, ResourceHints, Run, Scalar
from airflow_provider_repx.plan import RunPlan, plan_run
from airflow_provider_repx.targets import Target
from tests.support.labs import job_id

if TYPE_CHECKING:
    from airflow_provider_repx.lab import Lab

GOLDEN = Path(__file__).parent / "golden"
UPDATE = "REPX_UPDATE_GOLDEN"


@dataclass
class RunMaker:
    """Collects the jobs of one run; stands in for the lab that has it."""

    lab_id: str = "0123456789abcdfghijklmnpqrsvwxyz"
    jobs: dict[JobId, Job] = field(default_factory=dict)
    made: Run | None = None

    def add(
        self,
        name: str,
        seed: object = "",
        *reads: JobId,
        params: Mapping[str, Scalar] | None = None,
        inputs: Mapping[str, tuple[JobId, str]] | None = None,
        stage: str | None = None,
        pipeline: str | None = None,
        axes: Mapping[str, Scalar] | None = None,
        stage_type: Literal["simple", "scatter-gather"] = "simple",
        steps: Mapping[str, tuple[str, ...]] | None = None,
        **hints: object,
    ) -> JobId:
        """Add a job `<name>-1.1`, which reads `data` of each job in `reads`, and return its id.

        `steps` are those of a scatter-gather job, with what each depends on; by default there is one, `only`.
        """
        wired = {f"input_{number}": (producer, "data") for number, producer in enumerate(reads)} | dict(inputs or {})
        executable = Executable(
            path="bin/main",
            inputs=tuple(
                InputMapping(target_input=target, type="intra-pipeline", job_id=producer, source_output=output)
                for target, (producer, output) in wired.items()
            ),
            outputs={"data": "$out/data"},
        )
        identifier = JobId(job_id(f"{name}-1.1", f"{pipeline}/{seed}"))
        assert identifier not in self.jobs
        self.jobs[identifier] = Job(
            name=f"{name}-1.1",
            stage_type=stage_type,
            params=dict(params or {}),
            executables={"main": executable} if stage_type == "simple" else _parts(executable, steps),
            resource_hints=ResourceHints.model_validate(hints),
            stage=stage,
            pipeline=pipeline,
            axes=axes,
        )
        return identifier

    def run(self, name: str = "simulation") -> Run:
        if self.made is not None:
            return self.made
        return Run(name, f"revision/metadata-{name}.json", "0" * 40, (), None, self.jobs)

    def plan(self, target: Target | None = None, **options: Any) -> RunPlan:
        return plan_run(cast("Lab", self), "simulation", target, **options)


def _parts(scatter: Executable, steps: Mapping[str, tuple[str, ...]] | None) -> dict[str, Executable]:
    def part(*deps: str) -> Executable:
        return Executable(path="bin/main", inputs=(), outputs={"data": "$out/data"}, deps=deps)

    between = {f"step-{name}": part(*deps) for name, deps in (steps or {"only": ()}).items()}
    return {"scatter": scatter, **between, "gather": part()}


def prepare_simulate_measure(maker: RunMaker) -> None:
    """The usual shape: two preparations, six simulations of each, and a measurement of each simulation."""
    for seed in (2, 10):
        prepared = maker.add("prepare", seed, params={"seed": seed})
        for temperature in (0.5, 1, 1.5, 2.3, 10, 20):
            point = (seed, temperature)
            simulated = maker.add("simulate", point, prepared, params={"temperature": temperature, "steps": 100})
            maker.add("measure", point, simulated, params={"observable": "energy"})


def shuffle(seed: int, items: list[Any]) -> None:
    """Shuffle in place, the same way for the same seed."""
    random.Random(seed).shuffle(items)  # noqa: S311 - an order, not a secret


def check_golden(plan: RunPlan, name: str) -> None:
    """Compare a plan with `golden/<name>.json`; with REPX_UPDATE_GOLDEN=1 in the environment, write that file."""
    text = json.dumps(asdict(plan), indent=1, ensure_ascii=False) + "\n"
    file = GOLDEN / f"{name}.json"
    if os.environ.get(UPDATE):
        file.write_text(text, encoding="utf-8")
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(text)
