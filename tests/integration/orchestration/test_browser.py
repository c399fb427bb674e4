"""A person with a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.orchestration.conftest import ServedLab
from tests.support.browser import Browser, browser, find_browser
from tools.airflow_local import AirflowInstance, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(find_browser() is None, reason="there is no Chromium on this machine"),
]


def log_in(tab: Browser, airflow: AirflowInstance) -> None:
    tab.open(f"{airflow.url}/")
    tab.fill("username", airflow.settings.user)
    tab.fill("password", airflow.settings.password)
    tab.click("Sign in")
    tab.wait_for_text("Dags")


@pytest.mark.full
def test_one_click_on_the_last_run_makes_all_that_it_needs(
    orchestra: AirflowInstance, served: ServedLab, tmp_path: Path
) -> None:
    with browser(tmp_path / "profile") as tab:
        log_in(tab, orchestra)
        tab.open(f"{orchestra.url}/dags/{served.dag('visualize')}")
        tab.click("Trigger")
        tab.wait_for_text("When results of an upstream run are missing")
        tab.click("Trigger")
        (run_id,) = wait_until(lambda: served.runs("visualize"), timeout=60, what="the DAG run")
        assert served.wait("visualize", run_id) == "success"
        assert set(served.experiment.executions()) == {"preprocess", "train", "train2", "evaluate", "visualize"}

        tab.open(f"{orchestra.url}/dags/{served.dag('visualize')}/runs/{run_id}/tasks/wait_for_evaluate/details")
        tab.click("Upstream run")
        (upstream,) = served.runs("evaluate")
        wait_until(lambda: upstream in tab.evaluate("decodeURIComponent(location.href)"), timeout=60, what="its page")
        tab.wait_for_text("git 1111")


@pytest.mark.full
def test_a_lab_is_done_by_a_click_and_ended_by_a_click(
    orchestra: AirflowInstance, served: ServedLab, tmp_path: Path
) -> None:
    served.experiment.hold("train")
    with browser(tmp_path / "profile") as tab:
        log_in(tab, orchestra)
        tab.open(f"{orchestra.url}/dags/{served.dag('lab')}")
        tab.click("Trigger")
        for text in (
            "Only the runs of this group",
            "Run jobs again that are done already",
            "names, or patterns such as",
        ):
            tab.wait_for_text(text)
        tab.click("Trigger")
        (whole,) = wait_until(lambda: served.runs("lab"), timeout=60, what="the DAG run")
        served.wait_for_start("train")
        served.wait_for_state("lab", whole, "run_train", "deferred")
        tab.open(f"{orchestra.url}/dags/{served.dag('lab')}/runs/{whole}")
        tab.wait_for_text("git 1111")
        tab.click("Mark Dag Run as...")
        tab.click("Failed", kind="[role=menuitem]")
        tab.click("Confirm")
        assert served.wait("lab", whole) == "failed"
    assert served.wait("train", served.wait_for_child("train")) == "failed"
    served.wait_for_job_to_end("train")
