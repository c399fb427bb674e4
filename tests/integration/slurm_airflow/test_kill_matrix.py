"""Each part that can be killed, at each moment of a job's life: no job is lost, and none runs twice."""

from __future__ import annotations

import pytest

from tests.integration.slurm_airflow.scene import Component, Moment, Scene

pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.ssh]

COMPONENTS: tuple[Component, ...] = ("worker", "triggerer", "scheduler", "slurmctld", "slurmd", "sshd")
MOMENTS: tuple[Moment, ...] = ("before submit", "between submit and persist", "pending", "running", "at completion")


@pytest.mark.full
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("component", COMPONENTS)
def test_killed(scene: Scene, component: Component, moment: Moment) -> None:
    if component == "worker" and moment in ("before submit", "at completion"):
        kill_a_worker_that_has_a_task(scene, moment)
        return
    run = scene.begin(component, moment)
    scene.kill(component)
    if moment == "at completion":
        scene.release()
        scene.wait_until_all_have_ended()
    if moment not in ("pending", "running") or component == "slurmd":
        scene.go_on(moment)
    elif component in ("slurmctld", "sshd"):
        scene.wait_for_news(run, "Slurm does not answer")
    scene.bring_back(component)
    if moment != "at completion":
        scene.go_on(moment)
        scene.wait_until_all_run()
    scene.check_end(run, tries=1)


def kill_a_worker_that_has_a_task(scene: Scene, moment: Moment) -> None:
    """It hands over to the triggerer, or takes its word at the end; in between no worker has the task."""
    if moment == "before submit":
        dag_id = scene.deploy("worker")
        run = dag_id, scene.world.api.trigger(dag_id).run_id
    else:
        run = scene.begin("worker", moment)
        scene.release()
    scene.kill_task_process(run)
    scene.check_end(run, tries=2)


@pytest.mark.full
@pytest.mark.parametrize(
    ("component", "news"), [("sshd", "cannot be reached, trying again"), ("slurmctld", "Slurm does not answer")]
)
def test_a_triggerer_starts_while_the_cluster_is_away(scene: Scene, component: Component, news: str) -> None:
    """What it finds there is waited for, and costs the tasks no try: all of those would be over in half a minute."""
    run = scene.begin(component, "running")
    scene.kill(component)
    scene.kill("triggerer")
    scene.bring_back("triggerer")
    scene.wait_for_news(run, news)
    scene.bring_back(component)
    scene.check_end(run, tries=1)


def test_everything_is_killed_one_after_the_other(scene: Scene) -> None:
    run = scene.begin("sshd", "running")
    for component in ("sshd", "slurmd", "triggerer", "slurmctld", "scheduler"):
        scene.kill(component)  # type: ignore[arg-type]
    for component in ("slurmd", "sshd", "triggerer"):
        scene.bring_back(component)  # type: ignore[arg-type]
    scene.check_end(run, tries=1)


def test_a_worker_is_killed_that_is_about_to_hand_over(scene: Scene) -> None:
    kill_a_worker_that_has_a_task(scene, "before submit")
