from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.execution.jobs.environment import TOKEN_VARIABLE, job_environment

pytestmark = pytest.mark.unit


MARK = "t"


def environment(inherited: dict[str, str], lab: Path = Path("/nowhere"), *also: str) -> dict[str, str]:
    return job_environment(inherited, lab=lab, token=MARK, also=also)


def test_what_describes_the_machine_is_passed_on() -> None:
    inherited = {"HOME": "/h", "LC_ALL": "C", "OMP_NUM_THREADS": "2", "https_proxy": "p", "CUDA_VISIBLE_DEVICES": "0"}
    assert environment(inherited) == inherited | {TOKEN_VARIABLE: MARK}


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "DATABASE_URL",
        "GITHUB_TOKEN",
        "NIX_CONFIG",
        "PYTHONPATH",
        "SSH_AUTH_SOCK",
        "VIRTUAL_ENV",
    ],
)
def test_what_may_be_a_secret_or_the_workers_own_is_not(name: str) -> None:
    assert environment({name: "x"}) == {TOKEN_VARIABLE: MARK}


@given(st.sampled_from(["AIRFLOW", "_AIRFLOW"]), st.text())
def test_nothing_of_airflow_is_ever_passed_on(prefix: str, rest: str) -> None:
    assert environment({prefix + rest: "x"}, Path("/nowhere"), "*", prefix + rest) == {TOKEN_VARIABLE: MARK}


def test_an_outer_jobs_token_is_not_inherited() -> None:
    assert environment({TOKEN_VARIABLE: "outer"}, Path("/nowhere"), "*")[TOKEN_VARIABLE] == MARK


def test_the_labs_tools_come_first(tmp_path: Path) -> None:
    for name in ("bbb", "aaa"):
        (tmp_path / "host-tools" / name / "bin").mkdir(parents=True)
    assert environment({"PATH": "/usr/bin"}, tmp_path)["PATH"] == f"{tmp_path}/host-tools/aaa/bin:/usr/bin"
    assert environment({"PATH": "/usr/bin"})["PATH"] == "/usr/bin"
    assert "PATH" not in environment({})
