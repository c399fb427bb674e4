"""One stage of three jobs on Slurm under Airflow: brought to a moment, harmed, mended, and brought to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from tests.support.experiments import Experiment
from tests.support.gates import GatedProgram
from tests.support.labs import RunSpec, write_lab
from tests.support.slurm_airflow import SlurmAirflow
from tools.airflow_local import AirflowApiError, wait_until
from tools.cluster import ThrowawaySshd

__all__ = ["LABELS", "Component", "Moment", "Scene"]

Component: TypeAlias = Literal["worker", "triggerer", "scheduler", "slurmctld", "slurmd", "sshd"]
Moment: TypeAlias = Literal["before submit", "between submit and persist", "pending", "running", "at completion"]

LABELS = ("a", "b", "c")
_STAGE = "simulate"


@dataclass(frozen=True)
class Scene:
    """`sbatch` is what the cluster's users call, also those who come in over `sshd`."""

    world: SlurmAirflow
    experiment: Experiment
    sbatch: GatedProgram
    sshd: ThrowawaySshd

    def deploy(self, component: Component) -> str:
        """A DAG of one stage with three jobs, which come to the cluster in the way that the component is part of."""
        jobs = [self.experiment.job(_STAGE, label, params={"point": label}) for label in LABELS]
        write_lab(self.experiment.lab, [RunSpec("simulation", jobs)])
        start = "worker" if component == "worker" else "triggerer"
        connection = "remote" if component == "sshd" else "cluster"
        return self.world.deploy_lab(self.experiment, settings=f"start={start!r}", connection=connection)

    def begin(self, component: Component, moment: Moment) -> tuple[str, str]:
        """A DAG and a DAG run of it whose jobs are at that moment."""
        dag_id = self.deploy(component)
        for label in LABELS:
            self.experiment.hold(label)
        if moment == "pending":
            self.world.cluster.run("scontrol", "update", "NodeName=ALL", "State=DRAIN", "Reason=test")
        gate: Literal["before", "after"] = "before" if moment == "before submit" else "after"
        if moment in ("before submit", "between submit and persist"):
            self.sbatch.close(gate)
        run_id = self.world.api.trigger(dag_id).run_id
        if moment in ("before submit", "between submit and persist"):
            self.sbatch.wait_until_reached(gate)
        elif moment == "pending":
            wait_until(lambda: len(self.world.queue("PENDING")) == 3, timeout=120, what="three pending jobs")
        else:
            self.wait_until_all_run()
        return dag_id, run_id

    def go_on(self, moment: Moment) -> None:
        """Undo what held the jobs at the moment; they still run until `release`."""
        self.sbatch.open()
        if moment == "pending":
            # Of nodes that take jobs already Slurm calls that invalid.
            self.world.cluster.run("scontrol", "update", "NodeName=ALL", "State=RESUME", check=False)

    def wait_until_all_run(self) -> None:
        wait_until(
            lambda: set(self.experiment.executions()) == set(LABELS),
            timeout=150,
            what="three jobs to run",
            interval=0.1,
        )

    def release(self) -> None:
        """Let the jobs end."""
        for label in LABELS:
            (self.experiment.folder / f"hold-{label}").unlink(missing_ok=True)

    def wait_until_all_have_ended(self) -> None:
        """In the store; whoever watches them may not know."""
        markers = self.experiment.base / "outputs"
        wait_until(lambda: len(list(markers.glob("*/repx/SUCCESS"))) == 3, timeout=60, what="three markers")

    def kill(self, component: Component) -> None:
        """SIGKILL, as a crash; of the server for SSH also what it had open."""
        world = self.world
        if component == "slurmctld":
            # What the controller has not written down yet it will not know any more: that is Slurm's own limit.
            world.wait_for_saved_state()
            world.cluster.kill("slurmctld")
        elif component == "slurmd":
            for name in self._node_daemons():
                world.cluster.kill(name)
        elif component == "sshd":
            self.sshd.kill()
            assert self.sshd.kill_sessions() > 0
        else:
            # The workers are children of the scheduler. A killed one takes the lock of their queue with it, so that
            # Airflow itself needs them all to be started again.
            world.airflow.kill("triggerer" if component == "triggerer" else "scheduler")

    def bring_back(self, component: Component) -> None:
        cluster = self.world.cluster
        if component in ("slurmctld", "slurmd"):
            # The one is not ready without the other.
            for name in ("slurmctld", *self._node_daemons()):
                cluster.restart(name, wait=False)
            cluster.wait_ready()
        elif component == "sshd":
            self.sshd.restart()
        else:
            self.world.airflow.start()

    def mend(self) -> None:
        """Whatever a test has left."""
        self.sbatch.open()
        for component in ("slurmd", "sshd", "triggerer"):
            self.bring_back(component)  # type: ignore[arg-type]

    def kill_task_process(self, run: tuple[str, str]) -> None:
        """Kill a worker's process for one of the jobs as soon as there is one."""

        def found() -> bool:
            at_work = any(task.state == "running" for task in self.world.tasks(*run).get(_STAGE, []))
            return at_work and self.world.kill_task_processes() > 0

        wait_until(found, timeout=120, what="a worker at a job", interval=0.02)

    def wait_for_news(self, run: tuple[str, str], text: str) -> None:
        """Wait until the task of some job tells something in its log."""
        wait_until(lambda: any(text in log for log in self._logs(run)), timeout=120, what=f"{text!r} in a task's log")

    def check_end(self, run: tuple[str, str], *, tries: int) -> None:
        """All ended well, each ran once, at most at the given try, and Slurm says so too."""
        self.release()
        world, experiment = self.world, self.experiment
        state = world.api.wait_for_run(*run, timeout=240).state
        assert state == "success", "\n".join([world.api.log_text(*run, "summary"), *self._logs(run)])
        assert dict(experiment.executions()) == dict.fromkeys(LABELS, 1)
        tasks = world.tasks(*run)[_STAGE]
        assert [task.state for task in tasks] == ["success"] * 3
        assert max(task.try_number for task in tasks) <= tries
        world.wait_until_queue_is_empty()
        arrays = {folder.name for folder in (experiment.base / "repx/slurm").glob("repx-*")}
        assert sorted(world.ended_in_slurm(arrays)) == ["COMPLETED"] * 3
        assert len(list((experiment.base / "outputs").glob("*/repx/SUCCESS"))) == 3
        assert not list((experiment.base / "outputs").glob("*/repx/FAIL"))

    def _node_daemons(self) -> list[str]:
        return [name for name in self.world.cluster.daemon_names if name.startswith("slurmd-")]

    def _logs(self, run: tuple[str, str]) -> list[str]:
        return [self._log(run, index) for index in range(len(LABELS))]

    def _log(self, run: tuple[str, str], index: int) -> str:
        try:
            return self.world.api.log_text(*run, _STAGE, map_index=index)
        except AirflowApiError:
            # There is none yet.
            return ""
