"""One Airflow for all tests of how runs depend on each other, and labs of five runs to be put into it."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil
import pytest

from airflow_provider_repx.building import Nix
from tests.integration.conftest import AirflowInstanceFactory
from tests.support.airflow import deploy_dag_file
from tests.support.experiments import Experiment
from tests.support.five_runs import FiveRuns
from tools.airflow_local import AirflowApi, AirflowInstance, DagBundle, wait_until

ROOT = Path(__file__).parents[3]

RUN_TIMEOUT = 200
"""Seconds that a DAG run may take while this machine is busy with other things."""


class ServedLab:
    """A lab of five runs, its DAGs in an Airflow, and what tests ask about them."""

    def __init__(self, airflow: AirflowInstance, folder: Path, prefix: str) -> None:
        self.airflow = airflow
        self.api: AirflowApi = airflow.api
        self.experiment = Experiment(folder)
        self.lab = FiveRuns(self.experiment)
        self.prefix = prefix

    def dag(self, run: str) -> str:
        return f"{self.prefix}{run}"

    def trigger(self, run: str, **conf: object) -> str:
        return self.api.trigger(self.dag(run), conf=conf).run_id

    def wait(self, run: str, run_id: str) -> str:
        return self.api.wait_for_run(self.dag(run), run_id, timeout=RUN_TIMEOUT).state

    def runs(self, run: str) -> list[str]:
        return [found.run_id for found in self.api.dag_runs(self.dag(run))]

    def states(self, run: str, run_id: str) -> dict[str, str | None]:
        return {task.task_id: task.state for task in self.api.task_instances(self.dag(run), run_id)}

    def wait_for_state(self, run: str, run_id: str, task_id: str, state: str) -> None:
        wait_until(
            lambda: self.states(run, run_id).get(task_id) == state,
            timeout=120,
            what=lambda: f"{task_id} to be {state}; it is {self.states(run, run_id).get(task_id)}",
        )

    def wait_for_start(self, label: str, times: int = 1) -> None:
        wait_until(
            lambda: self.experiment.executions()[label] >= times,
            timeout=120,
            what=lambda: f"job {label}; so far: {dict(self.experiment.executions())}",
        )

    def mark_failed(self, run: str, run_id: str, task_id: str) -> None:
        self.api.set_task_state(self.dag(run), run_id, task_id, "failed")

    def wait_for_child(self, run: str) -> str:
        """The only DAG run of a run's DAG, as soon as there is one."""
        (found,) = wait_until(lambda: self.runs(run), timeout=120, what=f"a DAG run of {run}", interval=0.05)
        return found

    def wait_for_job_to_end(self, label: str) -> None:
        process = int((self.experiment.folder / f"pid-{label}").read_text())
        wait_until(lambda: not psutil.pid_exists(process), timeout=60, what=f"the end of job {label}")

    def details(self, run: str, run_id: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.api.request("GET", f"/dags/{self.dag(run)}/dagRuns/{run_id}")
        return found

    def link(self, run: str, run_id: str, task_id: str) -> str:
        """Where the extra link of a task leads to."""
        path = f"/dags/{self.dag(run)}/dagRuns/{run_id}/taskInstances/{task_id}/links"
        (link,) = self.api.request("GET", path)["extra_links"].values()
        return unquote(str(link))

    def log(self, run: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        return self.api.log_text(self.dag(run), run_id, task_id, attempt=attempt)


def point(link: Path, lab: Path) -> None:
    """Let an out link lead to another build."""
    temporary = link.with_name("result.new")
    temporary.symlink_to(lab)
    temporary.replace(link)


@pytest.fixture(scope="session")
def held_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the lab that the versioned bundle serves, with its first build."""
    folder = tmp_path_factory.mktemp("held")
    first = FiveRuns(Experiment(folder)).write(lab=folder / "builds/first")
    point(folder / "result", first)
    return folder


@dataclass(frozen=True)
class Workshop:
    """A copy of the example lab that may be edited and built, with a Nix store of its own."""

    folder: Path

    @property
    def link(self) -> Path:
        return self.folder / "result"

    @property
    def store(self) -> Path:
        return self.folder / "nix"

    @property
    def flake(self) -> str:
        return f"path:{self.folder / 'checkout'}#five-runs"

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / "checkout/examples/five-runs" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def collect_garbage(self) -> None:
        nix = Nix.find(private_store=self.store)
        command = [str(nix.executable.with_name("nix-store")), "--gc"]
        subprocess.run(command, env=dict(nix.environment()), check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The example lab of five runs, not built yet."""
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    for part in ("flake.nix", "examples", "airflow_provider_repx/nix"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        (made.folder / "checkout" / part).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / part, made.folder / "checkout" / part)
    return made


@pytest.fixture(scope="session")
def orchestra(
    airflow_instance_factory: AirflowInstanceFactory,
    held_folder: Path,
    workshop: Workshop,
    tmp_path_factory: pytest.TempPathFactory,
) -> AirflowInstance:
    """A running Airflow with a folder for DAG files, a lab in a versioned bundle, and one that it can build."""
    dags = tmp_path_factory.mktemp("orchestra-dags")
    settings = {"base_path": str(held_folder / "base"), "dag_id_prefix": "held_", "poll_interval": 0.5, "cpus": 4}
    built = {
        "base_path": str(workshop.folder / "base"),
        "flake": workshop.flake,
        "private_store": str(workshop.store),
        "poll_interval": 0.5,
        "cpus": 4,
        "schedule": "asset:repx://five-runs",
    }
    bundles = [
        DagBundle.local("dags-folder", dags),
        DagBundle(
            "held",
            "airflow_provider_repx.bundles.RepxLabBundle",
            {"lab": str(held_folder / "result"), "refresh_interval": 1, "settings": settings},
        ),
        DagBundle(
            "five-runs",
            "airflow_provider_repx.bundles.RepxLabBundle",
            {"lab": str(workshop.link), "refresh_interval": 1, "release_after": 1, "settings": built},
        ),
    ]
    # Airflow's default is five minutes before it gives up on tasks that were killed, or queued, with a scheduler.
    overrides = {
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_DETECTION_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
    }
    instance = airflow_instance_factory("orchestra", bundles=bundles, overrides=overrides)
    instance.dags_folder = dags
    instance.start()
    return instance


@pytest.fixture(scope="session")
def held(orchestra: AirflowInstance, held_folder: Path) -> ServedLab:
    """The lab in the versioned bundle."""
    wait_until(lambda: "held_lab" in orchestra.api.dags(), timeout=90, what="the DAGs of the bundle")
    return ServedLab(orchestra, held_folder, "held_")


@pytest.fixture
def served(orchestra: AirflowInstance, tmp_path: Path) -> ServedLab:
    """A fresh lab of its own, with DAGs of its own."""
    return serve(orchestra, tmp_path)


def serve(orchestra: AirflowInstance, folder: Path, settings: str = "") -> ServedLab:
    """Write a lab of five runs and a DAG file for it, and wait for its DAGs.

    `settings` are further arguments of `repx_dags` as Python text, in which NAME is the lab's name.
    """
    name = f"l{uuid.uuid4().hex[:6]}"
    lab = ServedLab(orchestra, folder, f"{name}_")
    lab.lab.write()
    source = f"""
        from airflow_provider_repx import repx_dags
        NAME = {name!r}
        globals().update(repx_dags(lab={str(lab.experiment.lab)!r}, base_path={str(lab.experiment.base)!r},
                                   name=NAME, dag_id_prefix=NAME + "_", retry_delay=1, poll_interval=0.5,
                                   {settings}))
    """
    deploy_dag_file(orchestra, f"{name}.py", source, lab.dag("lab"))
    return lab
