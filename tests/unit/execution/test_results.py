from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from airflow_provider_repx.errors import LabLookupError
from airflow_provider_repx.execution.store import JobStatus, OutputStore, Results, results
from airflow_provider_repx.lab import Lab, read_lab
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.unit


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    jobs = []
    for temperature in (250, 300):
        simulate = JobSpec(job_id("simulate-1.1", str(temperature)), params={"temperature": temperature})
        measure = JobSpec(
            job_id("measure-1.1", str(temperature)),
            params={"window": 0.5, "quick": True},
            reads={"data": (simulate.id, "data")},
            outputs={"plot": "$out/plot, final.png"},
            extra={"stage": "measurement"},
        )
        jobs += [simulate, measure]
    return read_lab(write_lab(tmp_path / "lab", [RunSpec("study", jobs)]))


@pytest.fixture
def store(lab: Lab, tmp_path: Path) -> OutputStore:
    store = OutputStore(tmp_path / "base")
    for job in list(lab.run("study").jobs)[:2]:
        store.job(job).repx.mkdir(parents=True)
        store.job(job).success.touch()
    return store


@pytest.fixture
def found(lab: Lab, store: OutputStore) -> Results:
    return results(lab, "study", store)


def test_a_row_per_job_with_inherited_parameters(found: Results, store: OutputStore) -> None:
    assert [(row.stage, row.status) for row in found] == [
        ("simulate", JobStatus.SUCCEEDED),
        ("measurement", JobStatus.SUCCEEDED),
        ("simulate", JobStatus.PENDING),
        ("measurement", JobStatus.PENDING),
    ]
    assert len(found) == 4
    assert found[3]["temperature"] == 300
    assert found[3].parameters == {"temperature": 300, "window": 0.5, "quick": True}
    assert found[1].outputs == {"plot": store.job(found[1].job_id).out / "plot, final.png"}


def test_columns_come_in_order_of_first_appearance(found: Results) -> None:
    assert found.parameter_names == tuple(dict.fromkeys(name for row in found for name in row.parameters))
    assert set(found.parameter_names) == {"temperature", "window", "quick"}
    assert found.output_names == ("data", "plot")


def test_rows_are_chosen_by_stage_status_and_parameters(found: Results) -> None:
    assert [row["temperature"] for row in found.where(stage="measurement")] == [250, 300]
    assert found.where(temperature=300, status="pending", stage="simulate").rows == (found[2],)
    assert len(found.where(quick=True)) == 2
    assert len(found.where(unknown=None)) == 0


def test_an_unknown_parameter_names_the_known_ones(found: Results) -> None:
    with pytest.raises(KeyError, match="no parameter 'pressure'; its parameters: temperature"):
        found[0]["pressure"]


def test_renderings_agree(found: Results) -> None:
    table = found.to_table()
    assert table[0] == ["job", "stage", "status", *found.parameter_names, *found.output_names]
    assert list(csv.reader(io.StringIO(found.to_csv()))) == table
    rows = json.loads(found.to_json())
    assert [row["job"] for row in rows] == [line[0] for line in table[1:]]
    assert rows[1]["parameters"] == {"temperature": 250, "window": 0.5, "quick": True}
    cells = dict(zip(table[0], table[2], strict=True))
    assert (cells["quick"], cells["window"], cells["data"]) == ("true", "0.5", "")
    assert cells["plot"] == rows[1]["outputs"]["plot"]


def test_an_unknown_run_is_refused(lab: Lab, store: OutputStore) -> None:
    with pytest.raises(LabLookupError):
        results(lab, "nothing", store)


def test_a_lab_offers_the_same(lab: Lab, store: OutputStore, found: Results) -> None:
    assert lab.results("study", store.base_path) == found
