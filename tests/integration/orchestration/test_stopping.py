"""What becomes of DAG runs when somebody ends the one that started them, or clears it, or Airflow is killed."""

from __future__ import annotations

import pytest

from tests.integration.orchestration.conftest import ServedLab
from tools.airflow_local import AirflowInstance, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.full]


def test_ending_a_task_of_the_lab_ends_what_it_has_started(served: ServedLab) -> None:
    gate = served.experiment.hold("train")
    whole = served.trigger("lab", group="ml-pipeline")
    served.wait_for_start("train")
    served.wait_for_state("lab", whole, "run_train", "deferred")
    child = served.wait_for_child("train")
    served.mark_failed("lab", whole, "run_train")
    assert served.wait("train", child) == "failed"
    served.wait_for_job_to_end("train")
    assert served.details("train", child)["note"].endswith("Stopped with it.")
    assert served.wait("lab", whole) == "failed"
    (preprocess,) = served.runs("preprocess")
    assert served.wait("preprocess", preprocess) == "success", "what has ended stays as it is"

    gate.unlink()
    served.api.clear(served.dag("lab"), whole, only_failed=True)
    assert served.wait("lab", whole) == "success"
    assert served.runs("train") == [child]


def test_ending_the_last_run_of_a_chain_ends_all_that_it_has_started(served: ServedLab) -> None:
    served.experiment.hold("preprocess")
    last = served.trigger("visualize")
    served.wait_for_start("preprocess")
    children = {run: served.wait_for_child(run) for run in ("evaluate", "train", "preprocess")}
    served.wait_for_state("train", children["train"], "wait_for_preprocess", "deferred")
    served.api.set_run_state(served.dag("visualize"), last, "failed")
    for run, run_id in children.items():
        assert served.wait(run, run_id) == "failed"
    served.wait_for_job_to_end("preprocess")


def test_what_somebody_else_waits_for_goes_on(orchestra: AirflowInstance, served: ServedLab) -> None:
    gate = served.experiment.hold("train")
    whole = served.trigger("lab", group="ml-pipeline")
    served.wait_for_start("train")
    waiting = served.trigger("evaluate", on_missing="wait")
    served.wait_for_state("evaluate", waiting, "wait_for_train", "deferred")
    served.wait_for_state("lab", whole, "run_train", "deferred")
    child = served.wait_for_child("train")
    served.mark_failed("lab", whole, "run_train")
    said = f"task wait_for_train of {served.dag('evaluate')} {waiting} waits for it"
    log = orchestra.component_log("api-server")
    wait_until(lambda: said in log.read_text(), timeout=60, what=said)
    gate.unlink()
    assert served.wait("train", child) == "success"
    assert served.wait("evaluate", waiting) == "success"


def test_clearing_a_task_of_the_lab_joins_what_it_has_started(served: ServedLab) -> None:
    gate = served.experiment.hold("train")
    whole = served.trigger("lab", runs=["train"])
    served.wait_for_start("train")
    served.wait_for_state("lab", whole, "run_train", "deferred")
    child = served.wait_for_child("train")
    served.api.clear(served.dag("lab"), whole, ["run_train"], downstream=True)
    dag = served.dag("lab")
    wait_until(
        lambda: (
            (task := served.api.task_instance(dag, whole, "run_train")).try_number == 2 and task.state == "deferred"
        ),
        timeout=60,
        what="the second try to wait",
    )
    assert served.states("train", child)["summary"] is None
    gate.unlink()
    assert served.wait("lab", whole) == "success"
    assert served.runs("train") == [child]
    assert set(served.experiment.executions().values()) == {1}


@pytest.mark.full
def test_a_lab_survives_the_loss_of_scheduler_and_triggerer(orchestra: AirflowInstance, served: ServedLab) -> None:
    gate = served.experiment.hold("preprocess")
    whole = served.trigger("lab", group="ml-pipeline")
    waiting = served.trigger("baseline", on_missing="wait")
    served.wait_for_child("preprocess")
    # The task has asked for this DAG run just now, and may not have said yet that it waits for it.
    orchestra.kill("scheduler")
    orchestra.start_component("scheduler")
    served.wait_for_start("preprocess")
    served.wait_for_state("lab", whole, "run_preprocess", "deferred")
    served.wait_for_state("baseline", waiting, "wait_for_preprocess", "deferred")
    orchestra.kill("triggerer")
    gate.unlink()
    orchestra.start_component("triggerer")
    assert served.wait("lab", whole) == "success"
    assert served.wait("baseline", waiting) == "success"
    assert {run: len(served.runs(run)) for run in ("preprocess", "train", "evaluate", "baseline")} == dict.fromkeys(
        ("preprocess", "train", "evaluate", "baseline"), 1
    )
    assert set(served.experiment.executions().values()) == {1}
