"""Runs that depend on other runs, in a real Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_repx.lab import read_lab
from tests.integration.orchestration.conftest import ServedLab, point, serve
from tools.airflow_local import AirflowInstance, wait_until

pytestmark = pytest.mark.integration


def test_triggering_the_last_run_of_a_chain_makes_all_that_it_needs(served: ServedLab) -> None:
    last = served.trigger("visualize")
    assert served.wait("visualize", last) == "success", served.log("visualize", last, "wait_for_evaluate")
    assert dict(served.experiment.executions()) == dict.fromkeys(
        ["preprocess", "train", "train2", "evaluate", "visualize"], 1
    )
    (evaluate,) = served.runs("evaluate")
    assert served.link("visualize", last, "wait_for_evaluate").endswith(
        f"/dags/{served.dag('evaluate')}/runs/{evaluate}"
    )
    assert last in served.details("evaluate", evaluate)["note"]
    assert not served.runs("baseline"), "a soft dependency starts nothing and waits for nothing"

    again = served.trigger("visualize")
    assert served.wait("visualize", again) == "success"
    assert served.runs("evaluate") == [evaluate], "what is done is not triggered again"


@pytest.mark.full
def test_a_run_under_way_is_waited_for_and_not_started_twice(served: ServedLab) -> None:
    gate = served.experiment.hold("preprocess")
    first = served.trigger("preprocess")
    served.wait_for_start("preprocess")
    waiting = {run: served.trigger(run, on_missing="wait") for run in ("train", "baseline")}
    for run, run_id in waiting.items():
        served.wait_for_state(run, run_id, "wait_for_preprocess", "deferred")
        assert served.link(run, run_id, "wait_for_preprocess").endswith(first)
    gate.unlink()
    for run, run_id in waiting.items():
        assert served.wait(run, run_id) == "success"
    assert served.runs("preprocess") == [first]
    assert served.experiment.executions()["preprocess"] == 1


@pytest.mark.full
def test_a_failed_upstream_ends_the_wait_at_once_and_clearing_mends_it(served: ServedLab) -> None:
    culprit = served.experiment.fail("train2")
    gate = served.experiment.hold("train2")
    upstream = served.trigger("train")
    served.wait_for_start("train2")
    downstream = served.trigger("evaluate")
    served.wait_for_state("evaluate", downstream, "wait_for_train", "deferred")
    gate.unlink()
    assert served.wait("evaluate", downstream) == "failed"
    log = served.log("evaluate", downstream, "wait_for_train")
    assert f"DAG run {upstream} of {served.dag('train')}" in log
    assert "2 jobs: 1 succeeded, 1 failed" in log
    assert "part=1" in log
    assert served.api.task_instance(served.dag("evaluate"), downstream, "wait_for_train").try_number == 1

    culprit.unlink()
    served.api.clear(served.dag("train"), upstream, only_failed=True)
    served.api.clear(served.dag("evaluate"), downstream, ["wait_for_train"], downstream=True)
    assert served.wait("evaluate", downstream) == "success"
    assert served.runs("train") == [upstream]
    assert served.experiment.executions()["train2"] == 2


@pytest.mark.full
def test_clearing_a_sensor_clears_the_failed_run_that_it_had_started(served: ServedLab) -> None:
    culprit = served.experiment.fail("preprocess")
    downstream = served.trigger("baseline")
    assert served.wait("baseline", downstream) == "failed"
    (upstream,) = served.runs("preprocess")
    culprit.unlink()
    served.api.clear(served.dag("baseline"), downstream, ["wait_for_preprocess"], downstream=True)
    assert served.wait("baseline", downstream) == "success"
    assert served.runs("preprocess") == [upstream]


@pytest.mark.full
def test_the_other_choices_about_missing_results(served: ServedLab) -> None:
    refused = served.trigger("train", on_missing="fail")
    patient = served.trigger("train", on_missing="wait")
    assert served.wait("train", refused) == "failed"
    assert "no DAG run of" in served.log("train", refused, "wait_for_preprocess")
    served.wait_for_state("train", patient, "wait_for_preprocess", "deferred")
    assert not served.runs("preprocess")

    served.api.pause(served.dag("preprocess"))
    named = served.trigger("baseline")
    assert served.wait("baseline", named) == "failed"
    assert f"airflow dags unpause {served.dag('preprocess')}" in served.log("baseline", named, "wait_for_preprocess")
    served.api.pause(served.dag("preprocess"), paused=False)

    upstream = served.trigger("preprocess")
    assert served.wait("preprocess", upstream) == "success"
    assert served.wait("train", patient) == "success"


@pytest.mark.full
def test_two_labs_with_the_same_run_names_do_not_meet(orchestra: AirflowInstance, tmp_path: Path) -> None:
    one, other = (serve(orchestra, tmp_path / name, f"pool_prefix={name!r}") for name in ("one", "other"))
    done = one.trigger("train")
    assert one.wait("train", done) == "success"
    waiting = other.trigger("train", on_missing="wait")
    other.wait_for_state("train", waiting, "wait_for_preprocess", "deferred")
    assert not other.experiment.executions()
    upstream = other.trigger("preprocess")
    assert other.wait("preprocess", upstream) == "success"
    assert other.wait("train", waiting) == "success"
    assert one.experiment.executions() == other.experiment.executions()
    pools = {pool["name"] for pool in orchestra.api.request("GET", "/pools")["pools"]}
    assert {"one_local", "other_local"} <= pools


@pytest.mark.full
def test_a_lab_that_is_rebuilt_while_runs_wait(held: ServedLab) -> None:
    """The old DAG runs finish with the old lab, whose results do not count for the new one."""
    api = held.api
    gate = held.experiment.hold("train")
    old = held.trigger("visualize")
    held.wait_for_start("train")
    version = api.dags()[held.dag("lab")].bundle_version
    new_build = held.lab.write(version="2", lab=held.experiment.folder / "builds/second")
    point(held.experiment.folder / "result", new_build)
    wait_until(lambda: api.dags()[held.dag("lab")].bundle_version != version, timeout=90, what="the new version")
    new = held.trigger("visualize", on_missing="wait")
    held.wait_for_state("visualize", new, "wait_for_evaluate", "deferred")
    gate.unlink()
    assert held.wait("visualize", old) == "success", held.log("visualize", old, "wait_for_evaluate")
    assert held.experiment.executions()["evaluate"] == 1
    assert held.states("visualize", new)["wait_for_evaluate"] == "deferred", "the old lab's results do not count"

    evaluate = held.trigger("evaluate")
    assert held.wait("evaluate", evaluate) == "success"
    assert held.wait("visualize", new) == "success"
    assert held.experiment.executions()["evaluate"] == 2
    assert held.experiment.executions()["train"] == 1
    notes = {run_id: held.details("visualize", run_id)["note"] for run_id in (old, new)}
    assert "git 1111" in notes[old]
    assert "git 2222" in notes[new]


@pytest.mark.full
def test_some_jobs_of_a_run_are_no_news_for_those_who_follow_it(served: ServedLab) -> None:
    name = served.prefix.removesuffix("_")
    (job,) = [
        str(job) for job, found in read_lab(served.experiment.lab).run("train").jobs.items() if found.params["part"]
    ]
    some = served.trigger("train", jobs=[job])
    assert served.wait("train", some) == "success"
    assert set(served.experiment.executions()) == {"preprocess", "train2"}
    assert f"repx://{name}/preprocess" in served.api.asset_events()
    assert f"repx://{name}/train" not in served.api.asset_events()
    patient = served.trigger("evaluate", on_missing="wait")
    served.wait_for_state("evaluate", patient, "wait_for_train", "deferred")
    assert served.wait("train", served.trigger("train")) == "success"
    assert f"repx://{name}/train" in served.api.asset_events()
    assert served.wait("evaluate", patient) == "success"
