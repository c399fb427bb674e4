"""What a broken lab looks like in a real Airflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.airflow import deploy_dag_file, wait_for_import_error
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab, write_manifest
from tools.airflow_local import AirflowApi, AirflowInstance, wait_until

pytestmark = pytest.mark.integration


def broken_lab(path: Path) -> Path:
    lab = write_lab(path, [RunSpec("r", [JobSpec(job_id("x-1.1"))])])
    metadata = lab / "revision/metadata-r.json"
    record = json.loads(metadata.read_text())
    next(iter(record["jobs"].values()))["stage_type"] = "quantum"
    metadata.write_text(json.dumps(record))
    write_manifest(lab)
    return lab


def test_a_broken_lab_is_an_import_error_that_names_file_and_field(
    airflow_instance: AirflowInstance, tmp_path: Path
) -> None:
    source = f"""
        from airflow_provider_repx import repx_dags
        globals().update(repx_dags(lab={str(broken_lab(tmp_path / "lab"))!r}, base_path={str(tmp_path)!r}))
    """
    error = wait_for_import_error(airflow_instance, "broken_alone.py", source)
    assert "metadata-r.json" in error.stack_trace
    assert "stage_type" in error.stack_trace


def test_of_several_labs_only_the_broken_one_is_missing(
    airflow_instance: AirflowInstance, airflow_api: AirflowApi, tmp_path: Path
) -> None:
    good = write_lab(tmp_path / "good", [RunSpec("r", [JobSpec(job_id("y-1.1"))])])
    labs = [
        {"name": "fine", "lab": str(good), "dag_id_prefix": "fine_"},
        {"name": "torn", "lab": str(broken_lab(tmp_path / "torn")), "dag_id_prefix": "torn_"},
    ]
    source = f"""
        import os
        os.environ["AIRFLOW__REPX__LABS"] = {json.dumps(labs)!r}
        os.environ["AIRFLOW__REPX__BASE_PATH"] = {str(tmp_path / "base")!r}
        from airflow_provider_repx import repx_dags
        globals().update(repx_dags())
    """
    deploy_dag_file(airflow_instance, "several.py", source, "fine_r")
    error = wait_until(
        lambda: next((item for item in airflow_api.import_errors() if "several.py" in item.filename), None),
        timeout=60,
        what="the import error of the broken lab",
    )
    assert "lab torn" in error.filename
    assert "stage_type" in error.stack_trace
    assert airflow_api.dags()["fine_r"].dag_id == "fine_r"
