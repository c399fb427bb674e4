"""A real Airflow whose tasks run on a real Slurm: putting DAGs into it, and looking at both."""

from __future__ import annotations

import contextlib
import re
import textwrap
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from tests.support.airflow import deploy_dag_file
from tests.support.experiments import Experiment
from tests.support.split_lab import Split
from tools.airflow_local import AirflowApi, AirflowInstance, TaskInstance, wait_until
from tools.cluster import ThrowawaySlurm

__all__ = ["SlurmAirflow"]

_RUN_SECONDS = 200


@dataclass(frozen=True)
class SlurmAirflow:
    """Airflow and the cluster that its connections `cluster` and `remote` are about."""

    airflow: AirflowInstance
    cluster: ThrowawaySlurm
    base: Path

    @property
    def api(self) -> AirflowApi:
        return self.airflow.api

    def deploy_lab(self, experiment: Experiment | Split, *, settings: str = "", connection: str = "cluster") -> str:
        """A DAG file for a lab; returns the DAG id of its run `simulation`. The store is the experiment's own."""
        name = f"t{uuid.uuid4().hex[:8]}"
        source = f"""
            from airflow_provider_repx import repx_dags
            globals().update(repx_dags(lab={str(experiment.lab)!r}, name={name!r}, base_path={str(experiment.base)!r},
                                       slurm_conn_id={connection!r}, dag_id_prefix="{name}_", retry_delay=1,
                                       poll_interval=0.5, {settings}))
        """
        deploy_dag_file(self.airflow, f"{name}.py", source, f"{name}_simulation")
        return f"{name}_simulation"

    def deploy_tasks(self, source: str, **defaults: Any) -> str:
        """A DAG of the given tasks; returns its id."""
        name = f"t{uuid.uuid4().hex[:8]}"
        text = (
            "from datetime import timedelta\n"
            "from airflow.sdk import DAG\n"
            "from airflow_provider_repx.operators.slurm import SlurmOperator\n"
            f"defaults = {{'slurm_conn_id': 'cluster', 'retry_delay': timedelta(seconds=1), **{defaults!r}}}\n"
            f"with DAG({name!r}, schedule=None, default_args=defaults, is_paused_upon_creation=False):\n"
            + textwrap.indent(textwrap.dedent(source).strip(), "    ")
            + "\n"
        )
        deploy_dag_file(self.airflow, f"{name}.py", text, name)
        return name

    def run(self, dag_id: str, **conf: object) -> tuple[str, str]:
        """Trigger, wait; the DAG run's id and state."""
        run_id = self.api.trigger(dag_id, conf=conf).run_id
        return run_id, self.api.wait_for_run(dag_id, run_id, timeout=_RUN_SECONDS).state

    def tasks(self, dag_id: str, run_id: str) -> dict[str, list[TaskInstance]]:
        """Task instances by task, in the order of their map indices."""
        found: dict[str, list[TaskInstance]] = {}
        for task in self.api.task_instances(dag_id, run_id):
            found.setdefault(task.task_id, []).append(task)
        return found

    def wait_for_state(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        wait_until(
            lambda: self.api.task_instance(dag_id, run_id, task_id, map_index).state == state,
            timeout=90,
            what=f"{task_id} to be {state}",
        )

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
        """The links that the page of an unmapped task instance shows."""
        path = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances/{quote(task_id)}/links"
        found: dict[str, str | None] = self.api.request("GET", path)["extra_links"]
        return found

    def wait_until_queue_is_empty(self) -> None:
        wait_until(lambda: not self.queue(), timeout=60, what=lambda: f"the end of all Slurm jobs: {self.queue()}")

    def wait_for_saved_state(self) -> None:
        """Wait until the controller has written down the jobs that it has now: a killed one knows no later ones."""
        jobs = self.queue()
        if not jobs:
            return
        begin = time.time()
        # Where nothing has changed since, nothing would be written.
        self.cluster.run("scontrol", "update", f"JobId={jobs[0].split()[0]}", "Comment=seen")
        state = self.cluster.folder / "state" / "job_state"
        wait_until(lambda: state.exists() and state.stat().st_mtime > begin, timeout=60, what="the saved state")

    def queue(self, states: str = "PENDING,RUNNING,COMPLETING") -> list[str]:
        """The elements that Slurm knows, one text each."""
        asked = self.cluster.run("squeue", "-h", "-r", "-t", states, "-o", "%A %i %j %T")
        return asked.stdout.splitlines()

    def ended_in_slurm(self, arrays: Collection[str]) -> list[str]:
        """The final states of the elements of some arrays, by name, as far as the controller remembers them."""
        shown = self.cluster.run("scontrol", "-o", "show", "job").stdout.splitlines()
        found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown]
        return [job["JobState"] for job in found if job.get("JobName") in arrays]

    def kill_task_processes(self) -> int:
        """Kill what works at a task right now, of the workers the children; returns how many there were."""
        scheduler = psutil.Process(self.airflow.status()["scheduler"].pid)
        killed = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in (task for worker in scheduler.children() for task in worker.children()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
                    killed += 1
        return killed
