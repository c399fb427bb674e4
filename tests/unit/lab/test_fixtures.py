"""Labs that released versions of RepX made, read whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_repx.errors import LabIntegrityError
from airflow_provider_repx.lab import effective_parameters, read_lab, step_order, topological_order

FIXTURES = Path(__file__).parents[4] / "shared" / "fixtures"

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not FIXTURES.is_dir(), reason="the labs made by RepX are not beside the repository"),
]

# RepX 0.5.0 folds sweeps that 0.4 kept apart, so the same source has fewer jobs.
JOBS = {
    "repx-0.3.1/reference": {"simulation-run": 88, "analysis-run": 1},
    "repx-0.3.1/simple": {"simulation-run": 2, "analysis-run": 1},
    "repx-0.4.2/reference": {"simulation-run": 152, "analysis-run": 1},
    "repx-0.5.0/reference": {"simulation-run": 31, "analysis-run": 1},
    "repx-0.5.0/simple": {"simulation-run": 2, "analysis-run": 1},
    "repx-0.5.0/param-sweep": {"sweep-run": 3, "plot-run": 1},
    "repx-0.5.0/mount-paths": {"mount-paths-run": 1},
}


@pytest.mark.parametrize("name", JOBS)
def test_every_run_of_every_version_is_read(name: str) -> None:
    lab = read_lab(FIXTURES / name)
    assert {run: len(lab.run(run).jobs) for run in lab.run_names} == JOBS[name]
    assert tuple(JOBS[name]) == lab.run_names
    assert name.startswith(f"repx-{lab.repx_version}/")


@pytest.mark.parametrize("name", JOBS)
def test_nothing_of_a_job_is_lost(name: str) -> None:
    lab = read_lab(FIXTURES / name)
    for run_name in lab.run_names:
        run = lab.run(run_name)
        written = json.loads((FIXTURES / name / run.metadata).read_text())
        assert list(run.jobs) == list(written["jobs"])
        for job_id, job in run.jobs.items():
            record = written["jobs"][job_id]
            assert job.params == record["params"]
            assert {key: executable.outputs for key, executable in job.executables.items()} == {
                key: executable["outputs"] for key, executable in record["executables"].items()
            }
        assert set(topological_order(run)) == set(run.jobs)


@pytest.mark.parametrize("name", ["repx-0.3.1/reference", "repx-0.4.2/reference", "repx-0.5.0/reference"])
def test_the_steps_of_the_reference_lab_are_ordered(name: str) -> None:
    run = read_lab(FIXTURES / name).run("simulation-run")
    job = next(job for job in run.jobs.values() if job.stage_type == "scatter-gather")
    assert step_order(job) == ("extract", "square", "double", "combine")


def test_effective_parameters_reach_down_the_reference_lab() -> None:
    run = read_lab(FIXTURES / "repx-0.4.2/reference").run("simulation-run")
    effective = effective_parameters(run)
    last = next(job_id for job_id in run.jobs if job_id.endswith("-stage-G-multiarg-1.1"))
    assert {"offset", "multiplier", "mode"} <= set(effective[last])


@pytest.mark.parametrize("name", JOBS)
def test_a_lab_without_its_scripts_does_not_verify(name: str) -> None:
    with pytest.raises(LabIntegrityError, match="missing"):
        read_lab(FIXTURES / name).verify()
