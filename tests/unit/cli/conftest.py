from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.unit.cli.airflow_database import AirflowDatabase, empty_database
from tests.unit.cli.calling import Repx


@pytest.fixture(autouse=True)
def _logs_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command is the only thing in its process; here, others want to see what is logged later."""
    monkeypatch.setattr("airflow_provider_repx.cli.errors.send_logs_to_stderr", lambda: None)


@pytest.fixture
def repx(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Repx:
    """Commands on the lab of `lab_folder`, configured as `ising`, on two CPUs."""
    for name, value in {
        "LAB": tmp_path / "lab",
        "NAME": "ising",
        "BASE_PATH": tmp_path / "base",
        "CPUS": "2",
        "MEMORY": "4G",
    }.items():
        monkeypatch.setenv(f"AIRFLOW__REPX__{name}", str(value))
    return Repx(capsys)


@pytest.fixture
def lab_folder(tmp_path: Path) -> Path:
    """A folder with the lab `lab` and its store `base`.

    Of the run simulation one job is done, one has failed, the others have not run. Names are as odd as a lab's may be.
    """
    folder = tmp_path
    prepare = JobSpec(job_id("prepare-1.1"), params={"seed": 7, "text": "[red]plain[/red]\n\x1b[31m"})
    measure = [
        JobSpec(
            job_id("measure-1.1", str(number)),
            params={"temperature": number / 2, "exact": number == 1},
            reads={"start": (prepare.id, "data")},
            outputs={"data": "$out/data.json", "picture": "$out/bilder/größe $1.svg"},
            hints={"mem": "1G", "cpus": 2, "time": "00:10:00", "partition": "long"} if number == 2 else {},
        )
        for number in (1, 2)
    ]
    plot = JobSpec(job_id("plot-1.1"))
    write_lab(
        folder / "lab",
        [
            RunSpec("simulation", [prepare, *measure]),
            RunSpec("analysis", [plot], dependencies={"simulation": "hard"}),
            RunSpec("notes", [prepare], dependencies={"analysis": "soft"}),
        ],
        groups={"physics": ["simulation", "analysis"], "texts": ["notes"]},
        lab_id="0123456789abcdfghijklmnpqrsvwxyz",
    )
    done = folder / "base" / "outputs" / prepare.id
    (done / "repx").mkdir(parents=True)
    (done / "repx" / "SUCCESS").touch()
    (done / "repx" / "stdout.log").write_text("".join(f"line {number}\n" for number in range(1, 101)))
    (done / "out" / "deep").mkdir(parents=True)
    (done / "out" / "data.txt").write_text("some data\n")
    (done / "out" / "deep" / "raw").write_bytes(b"\xff\x00")
    failed = folder / "base" / "outputs" / measure[0].id / "repx"
    failed.mkdir(parents=True)
    (failed / "FAIL").touch()
    (failed / "attempt.json").write_text(
        '{"token":"t","outcome":"failed","cause":"","exit_code":3,"started":1767225600.5,"ended":1767225610.75,'
        '"cpu_seconds":9.5,"host":"node1","execution_type":"native","stderr_offset":0,"claim":null}\n'
    )
    return folder


@pytest.fixture(scope="session")
def empty_airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return empty_database(tmp_path_factory.mktemp("airflow-database") / "airflow.db")


@pytest.fixture
def airflow(empty_airflow_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AirflowDatabase:
    """An Airflow that knows no DAGs yet."""
    return AirflowDatabase.use(empty_airflow_database, tmp_path, monkeypatch)
