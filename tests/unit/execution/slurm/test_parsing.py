from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.errors import SlurmError
from airflow_provider_repx.execution.slurm.capacity import parse_partitions
from airflow_provider_repx.execution.slurm.parsing import (
    expand_indices,
    format_indices,
    parse_accounting,
    parse_config,
    parse_jobs,
    parse_queue,
)

pytestmark = pytest.mark.unit


@given(st.sets(st.integers(0, 3000), min_size=1))
def test_indices_survive(numbers: set[int]) -> None:
    assert set(expand_indices(format_indices(numbers))) == numbers


def test_steps_of_indices() -> None:
    assert list(expand_indices("0,4-10:3")) == [0, 4, 7, 10]
    with pytest.raises(SlurmError, match=r"0-\.\.\."):
        list(expand_indices("0-..."))


def test_the_queue() -> None:
    text = (
        "7|3-4%2|PENDING||repx-a|ann|JobArrayTaskLimit\n"
        "7|0|RUNNING|cpu1|repx-a|ann|None\n"
        "9|N/A|RUNNING|cpu1|other|ann|None\n"
        "8|1|NEW_STATE|gpu[1-2]|repx|b|odd|bob|a reason | with bars\n"
    )
    found = list(parse_queue(text))
    assert [(queued.slurm_id, queued.state, queued.throttle) for queued in found] == [
        ("7_3", "PENDING", 2),
        ("7_4", "PENDING", 2),
        ("7_0", "RUNNING", None),
        ("8_1", "NEW_STATE", None),
    ]
    assert found[2].node == "cpu1"
    with pytest.raises(SlurmError, match="cannot be read"):
        list(parse_queue("slurm says hello\n"))


def test_names_of_other_jobs_may_hold_anything() -> None:
    odd = "5|N/A|RUNNING|cpu1|a\n|b\n\n12\nc|ann|None\n6|0-1|PENDING||x|y\nz|ann|None\n"
    text = f"{odd}7|0|RUNNING|cpu1|repx-a|ann|None\n"
    found = list(parse_queue(text))
    assert [queued.slurm_id for queued in found if queued.name == "repx-a"] == ["7_0"]


def test_an_array_is_known_by_its_script_when_it_was_given_another_name() -> None:
    name = f"repx-{'0' * 8}-0-{'a' * 16}"
    known = "JobId=3 ArrayJobId=3 ArrayTaskId=0 JobName=nice JobState=RUNNING"
    [job] = parse_jobs(f"{known} Command=/b c/{name}/batch WorkDir=/")
    assert (job.name, job.state) == (name, "RUNNING")


def test_jobs_of_the_controller() -> None:
    text = (
        "JobId=5 ArrayJobId=2 ArrayTaskId=1 JobName=repx-x UserId=a(0) JobState=FAILED Reason=NonZeroExitCode"
        " ExitCode=3:0 NodeList=cpu1 Command=/a b=c/ExitCode=0:0 StdErr=/dev/null\n"
        "JobId=2 ArrayJobId=2 ArrayTaskId=3-4%2 JobName=repx-x JobState=PENDING Reason=Resources"
        " ExitCode=0:0 NodeList=\n"
        "JobId=9 JobName=other JobState=RUNNING NodeList=(null)\n"
        "No jobs in the system\n"
    )
    found = list(parse_jobs(text))
    assert [(job.array_id, job.index, job.state, job.exit_code) for job in found] == [
        ("2", 1, "FAILED", 3),
        ("2", 3, "PENDING", 0),
        ("2", 4, "PENDING", 0),
    ]
    assert (found[0].name, found[0].reason, found[0].node) == ("repx-x", "NonZeroExitCode", "cpu1")


def test_the_accounting() -> None:
    text = (
        "4_1|repx-x|CANCELLED by 0|0:15|cpu1||12|None\n"
        "4_1.batch|batch|CANCELLED|0:15|cpu1|1536K|12|\n"
        "4_1.extern|extern|COMPLETED|0:0|cpu1|2M|12|\n"
        "4_[5-6]|repx-x|PENDING|0:0|None assigned||0|None\n"
        "4_2|repx-x|OUT_OF_MEMORY|0:125|cpu2||3|x\n"
        "garbage\n"
    )
    found = {job.index: job for job in parse_accounting(text)}
    assert set(found) == {1, 2}
    assert (found[1].state, found[1].signal, found[1].peak_memory, found[1].seconds) == ("CANCELLED", 15, 2**21, 12.0)
    assert (found[2].state, found[2].peak_memory, found[2].reason) == ("OUT_OF_MEMORY", None, "x")


def test_the_configuration() -> None:
    text = "Configuration data as of now\nMaxArraySize            = 1001\nMinJobAge = 300 sec\nX = a=b\n"
    assert parse_config(text) == {"MaxArraySize": "1001", "MinJobAge": "300 sec", "X": "a=b"}


def test_partitions() -> None:
    found = parse_partitions("main*|0/10/2/12|1000|3\nmain*|0/8/0/8|2000+|1\ngpu|0/4/0/4|500|1\nempty|0/0/0/0|0|0\n")
    assert set(found) == {"main", "gpu"}
    assert (found["main"].capacity.cpus, found["main"].is_default) == (20, True)
    assert found["main"].capacity.memory == 5000 * 2**20
    assert not found["gpu"].is_default
    with pytest.raises(SlurmError, match="cannot be read"):
        parse_partitions("nonsense\n")
