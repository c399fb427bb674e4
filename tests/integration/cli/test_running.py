"""`airflow repx run`, `status`, `cancel`, `clear` and `doctor` on a real Airflow."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.airflow import deploy_dag_file
from tests.support.command_server import CommandServer
from tests.support.experiments import Experiment
from tests.support.labs import RunSpec, write_lab
from tools.airflow_local import AirflowApi, AirflowInstance, wait_until

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Pipeline:
    """A lab preprocess -> train -> evaluate, and baseline beside it, known to a running Airflow as `name`."""

    name: str
    experiment: Experiment
    instance: AirflowInstance
    server: CommandServer
    jobs: dict[str, str]

    @property
    def api(self) -> AirflowApi:
        return self.instance.api

    def repx(self, *arguments: str, code: int = 0) -> str:
        """What a command prints on stdout; it has to end with `code`."""
        done = self.call(*arguments)
        assert done.returncode == code, f"{done.args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.server.call("repx", *arguments, "--lab", self.name)

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.repx(*arguments, "--output", "json", code=code))

    def pid(self, label: str) -> int:
        file = self.experiment.folder / f"pid-{label}"
        return wait_until(
            lambda: int(file.read_text()) if file.exists() and file.read_text().strip() else None,
            timeout=60,
            what=f"job {label} to start",
        )

    def latest(self, run: str) -> str:
        """The state of the latest DAG run of a run."""
        state: str = self.json("status", run)["state"]
        return state


@pytest.fixture(scope="module")
def server(airflow_instance: AirflowInstance) -> Iterator[CommandServer]:
    with CommandServer(airflow_instance.environment(), airflow_instance.home) as running:
        yield running


@pytest.fixture
def pipeline(airflow_instance: AirflowInstance, server: CommandServer, tmp_path: Path) -> Pipeline:
    experiment = Experiment(tmp_path)
    jobs = {
        "p": experiment.job("preprocess", "p"),
        "t1": experiment.job("train", "t1", params={"seed": 1}),
        "t2": experiment.job("train", "t2", params={"seed": 2}),
        "e": experiment.job("evaluate", "e"),
        "b": experiment.job("baseline", "b"),
    }
    write_lab(
        experiment.lab,
        [
            RunSpec("preprocess", [jobs["p"]]),
            RunSpec("train", [jobs["t1"], jobs["t2"]], dependencies={"preprocess": "hard"}),
            RunSpec("evaluate", [jobs["e"]], dependencies={"train": "hard"}),
            RunSpec("baseline", [jobs["b"]]),
        ],
        groups={"ml-pipeline": ["evaluate", "train", "preprocess"], "baselines": ["baseline"]},
    )
    name = f"cli{uuid.uuid4().hex[:8]}"
    source = f"""
        from airflow_provider_repx import repx_dags
        globals().update(repx_dags(lab={str(experiment.lab)!r}, name={name!r}, base_path={str(experiment.base)!r},
                                   dag_id_prefix="{name}_", retry_delay=1, poll_interval=0.5))
    """
    deploy_dag_file(airflow_instance, f"{name}.py", source, f"{name}_evaluate")
    return Pipeline(name, experiment, airflow_instance, server, {label: job.id for label, job in jobs.items()})


def test_a_group_runs_in_the_order_of_its_dependencies(pipeline: Pipeline) -> None:
    pipeline.experiment.fail("t1")
    output = pipeline.repx("run", "--group", "ml-pipeline", "baseline", "--continue-on-failure", "--wait", code=1)
    assert "evaluate: not triggered: it depends on train, which did not succeed" in output
    assert "train: failed, 2 jobs: 1 succeeded, 1 failed" in output
    assert "baseline: success, 1 job: 1 succeeded" in output
    assert output.index("preprocess: success") < output.index("train: triggered")
    assert "e" not in pipeline.experiment.executions()
    assert [job["job"] for job in pipeline.json("list", "jobs", "--status", "failed")] == [pipeline.jobs["t1"]]
    failed = pipeline.json("status", "train")
    assert failed["state"] == "failed"
    assert failed["stages"] == [{"stage": "train", "jobs": 2, "succeeded": 1, "running": 0, "failed": 1, "pending": 0}]
    shown = pipeline.json("show", "job", pipeline.jobs["t1"])
    assert (shown["status"], shown["last_attempt"]["exit_code"]) == ("failed", 3)
    assert "no luck with t1" in pipeline.repx("log", pipeline.jobs["t1"], "--stderr")

    (pipeline.experiment.folder / "fail-t1").unlink()
    assert pipeline.json("run", "@ml-pipeline", "--wait") == [
        {"run": run, "dag_id": f"{pipeline.name}_{run}", "dag_run_id": made, "state": "success", "reason": ""}
        for run, made in zip(
            ("preprocess", "train", "evaluate"),
            (pipeline.json("status", run)["dag_run_id"] for run in ("preprocess", "train", "evaluate")),
            strict=True,
        )
    ]
    assert pipeline.experiment.executions() == {"p": 1, "t1": 2, "t2": 1, "e": 1, "b": 1}


@pytest.mark.full
def test_a_failure_is_cleared_with_what_depends_on_it(pipeline: Pipeline) -> None:
    pipeline.experiment.fail("t1")
    runs = pipeline.json("run", "preprocess", "train", "evaluate", "--wait", code=1)
    assert [(run["run"], run["state"]) for run in runs] == [
        ("preprocess", "success"),
        ("train", "failed"),
        ("evaluate", "not triggered"),
    ]
    (pipeline.experiment.folder / "fail-t1").unlink()
    would = pipeline.json("clear", "preprocess", "--downstream", "--dry-run")
    # Evaluate has no DAG run to be cleared.
    assert [found["dag_id"] for found in would] == [f"{pipeline.name}_preprocess", f"{pipeline.name}_train"]
    assert "confirm with --yes" in pipeline.call("clear", "preprocess", "--downstream").stderr
    assert pipeline.latest("train") == "failed"
    pipeline.repx("clear", "preprocess", "--downstream", "--yes")
    lines = pipeline.repx("status", "train", "--follow").splitlines()
    assert lines[-1].endswith("success, 2 jobs: 2 succeeded")
    executions = pipeline.experiment.executions()
    assert (executions["p"], executions["t1"]) == (1, 2)


@pytest.mark.full
def test_cancel_ends_the_jobs(pipeline: Pipeline) -> None:
    pipeline.experiment.hold("b")
    pipeline.repx("run", "baseline")
    pid = pipeline.pid("b")
    assert pipeline.json("status", "baseline")["stages"][0]["running"] == 1
    assert "claimed by" in pipeline.repx("show", "job", pipeline.jobs["b"])
    assert pipeline.json("cancel", "baseline", "--wait")[0]["tasks"] > 0
    assert not psutil.pid_exists(pid)
    assert pipeline.latest("baseline") == "failed"
    assert pipeline.json("cancel", "baseline") == []


@pytest.mark.full
def test_cancel_ends_what_was_started_for_its_sake(pipeline: Pipeline) -> None:
    pipeline.experiment.hold("p")
    pipeline.repx("run", "evaluate")
    pid = pipeline.pid("p")
    found = pipeline.json("cancel", "evaluate", "--wait")
    assert [row["dag_id"] for row in found] == [f"{pipeline.name}_{run}" for run in ("evaluate", "train", "preprocess")]
    assert [row["tasks"] is None for row in found] == [False, True, True]
    wait_until(lambda: not psutil.pid_exists(pid), timeout=30, what="the job's end")
    assert [pipeline.latest(run) for run in ("evaluate", "train", "preprocess")] == ["failed"] * 3


@pytest.mark.full
def test_cancel_ends_some_jobs_and_leaves_the_others(pipeline: Pipeline) -> None:
    pipeline.experiment.hold("t1")
    gate = pipeline.experiment.hold("t2")
    pipeline.repx("run", "preprocess", "train")
    first, second = pipeline.pid("t1"), pipeline.pid("t2")
    pipeline.repx("cancel", "train", "--jobs", pipeline.jobs["t1"], "--wait")
    assert not psutil.pid_exists(first)
    assert psutil.pid_exists(second)
    gate.unlink()
    pipeline.repx("status", "train", "--follow", code=1)
    statuses = {job["job"]: job["status"] for job in pipeline.json("list", "jobs", "train")}
    assert statuses == {pipeline.jobs["t1"]: "pending", pipeline.jobs["t2"]: "succeeded"}


def test_what_is_not_there_is_a_usage_error(pipeline: Pipeline) -> None:
    for arguments, text in (
        (("run", "trian"), "did you mean 'train'"),
        (("run",), "name what to run"),
        (("run", "@ml"), "no group called 'ml'"),
        (("run", "train", "--jobs", "nothing"), "no job matches 'nothing'"),
        (("status", "train"), "has no DAG runs"),
        (("status", "train", "--dag-run", "never"), "no such DAG run"),
    ):
        done = pipeline.call(*arguments)
        assert (done.returncode, text in done.stderr) == (2, True), done.stderr
        (line,) = (line for line in done.stderr.splitlines() if line.startswith("[ERROR]"))
        assert text in line
    pipeline.server.call("dags", "pause", f"{pipeline.name}_train")
    paused = pipeline.call("run", "train", "--wait")
    assert (paused.returncode, "is paused" in paused.stderr) == (1, True), paused.stderr


def test_doctor_looks_at_everything(pipeline: Pipeline) -> None:
    done = pipeline.call("doctor", "--output", "json")
    found = {(item["subject"], item["level"]) for item in json.loads(done.stdout)}
    assert {
        ("versions", "ok"),
        ("scheduler", "ok"),
        ("triggerer", "ok"),
        ("dag-processor", "ok"),
        (f"lab {pipeline.name}", "ok"),
        (f"target local of {pipeline.name}", "ok"),
        (f"DAGs of {pipeline.name}", "ok"),
    } <= found
    pipeline.server.call("dags", "pause", f"{pipeline.name}_train")
    assert f"warning  DAGs of {pipeline.name}" in pipeline.call("doctor").stdout
