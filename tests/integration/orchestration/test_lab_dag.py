"""The DAG that does all runs of a lab, in a real Airflow."""

from __future__ import annotations

import pytest

from airflow_provider_repx.lab import read_lab
from tests.integration.orchestration.conftest import ServedLab

pytestmark = pytest.mark.integration

SKIPPED = "skipped"


def test_a_group_is_done_in_order_as_dag_runs_of_one_lab(served: ServedLab) -> None:
    whole = served.trigger("lab", group="ml-pipeline", force=True)
    assert served.wait("lab", whole) == "success"
    assert served.states("lab", whole) == {
        "open_lab": "success",
        "run_preprocess": "success",
        "run_train": "success",
        "run_evaluate": "success",
        "run_visualize": SKIPPED,
        "run_baseline": SKIPPED,
        "summary": "success",
    }
    order = [label for label in served.experiment.executions() if label != "train2"]
    assert order == ["preprocess", "train", "evaluate"]
    assert set(served.experiment.executions().values()) == {1}
    lab = read_lab(served.experiment.lab)
    for run in ("preprocess", "train", "evaluate"):
        (child,) = served.api.dag_runs(served.dag(run))
        assert child.conf["lab_id"] == lab.lab_id
        assert child.conf["force"] is True
        assert served.link("lab", whole, f"run_{run}").endswith(f"/dags/{served.dag(run)}/runs/{child.run_id}")
        assert whole in served.details(run, child.run_id)["note"]
    assert not served.runs("visualize")
    assert lab.lab_id in served.details("lab", whole)["note"]


@pytest.mark.parametrize("go_on", [True, False])
@pytest.mark.full
def test_a_failing_run_in_the_middle(served: ServedLab, go_on: bool) -> None:
    served.experiment.fail("train")
    gate = served.experiment.hold("baseline")
    whole = served.trigger("lab", continue_on_failure=go_on, runs=["*"])
    served.wait_for_start("baseline")
    served.wait_for_state("lab", whole, "run_train", "failed")
    served.wait_for_state("lab", whole, "run_visualize", "upstream_failed")
    gate.unlink()
    assert served.wait("lab", whole) == "failed"
    states = served.states("lab", whole)
    assert states.pop("run_baseline") == "success", "what runs already, runs to its end"
    assert states == {
        "open_lab": "success",
        "run_preprocess": "success",
        "run_train": "failed",
        "run_evaluate": "upstream_failed",
        "run_visualize": "upstream_failed",
        "summary": "failed",
    }
    executions = served.experiment.executions()
    if go_on:
        assert executions["train2"] == 1, "jobs that do not depend on the one that failed are done"
    (train,) = served.api.dag_runs(served.dag("train"))
    assert train.conf["continue_on_failure"] is go_on
    log = served.log("lab", whole, "run_train")
    assert "failed: " in log
    assert train.run_id in log


@pytest.mark.parametrize("go_on", [True, False])
@pytest.mark.full
def test_runs_that_do_not_depend_on_the_one_that_failed(served: ServedLab, go_on: bool) -> None:
    culprit = served.experiment.fail("baseline")
    gate = served.experiment.hold("train")
    whole = served.trigger("lab", continue_on_failure=go_on)
    served.wait_for_start("train")
    served.wait_for_state("lab", whole, "run_baseline", "failed")
    gate.unlink()
    assert served.wait("lab", whole) == "failed"
    states = served.states("lab", whole)
    assert states["run_train"] == "success", "what runs already, runs to its end"
    if go_on:
        assert states["run_visualize"] == "success"
        return
    assert (states["run_evaluate"], states["run_visualize"]) == ("failed", "upstream_failed")
    assert "was not started: another run of the lab failed" in served.log("lab", whole, "run_evaluate")
    assert not served.runs("evaluate")

    culprit.unlink()
    served.api.clear(served.dag("lab"), whole, only_failed=True)
    assert served.wait("lab", whole) == "success"
    executions = served.experiment.executions()
    assert (executions.pop("baseline"), set(executions.values())) == (2, {1})
    assert executions["visualize"] == 1, "also what was not started is done then"


@pytest.mark.full
def test_clearing_what_failed_goes_on_where_it_stopped(served: ServedLab) -> None:
    culprit = served.experiment.fail("evaluate")
    whole = served.trigger("lab")
    assert served.wait("lab", whole) == "failed"
    culprit.unlink()
    served.api.clear(served.dag("lab"), whole, only_failed=True)
    assert served.wait("lab", whole) == "success"
    executions = served.experiment.executions()
    assert executions.pop("evaluate") == 2
    assert set(executions.values()) == {1}
    assert len(served.runs("evaluate")) == 1


@pytest.mark.full
def test_a_child_on_another_lab_fails_at_once(served: ServedLab) -> None:
    gate = served.experiment.hold("train")
    whole = served.trigger("lab", group="ml-pipeline")
    served.wait_for_start("train")
    served.lab.write(version="2")
    gate.unlink()
    assert served.wait("lab", whole) == "failed"
    log = served.log("lab", whole, "run_train")
    assert "the lab was rebuilt meanwhile" in log
    assert not served.experiment.executions()["evaluate"]

    asked = served.trigger("preprocess", lab_id="the-lab-of-before")
    assert served.wait("preprocess", asked) == "failed"
    assert "was started for lab" in served.log("preprocess", asked, "open_lab")


@pytest.mark.full
def test_an_unknown_run_is_named(served: ServedLab) -> None:
    whole = served.trigger("lab", runs=["trian"])
    assert served.wait("lab", whole) == "failed"
    assert "did you mean 'train'" in served.log("lab", whole, "open_lab")
