from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_repx import repx_dags
from airflow_provider_repx.errors import TargetError, UnsupportedTargetError
from airflow_provider_repx.operators.job import RepxJobOperator
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.unit


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return write_lab(tmp_path / "lab", [RunSpec("r", [JobSpec(job_id("a-1.1"))])])


def config(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return file


LOCAL = '[targets.local]\nbase_path = "/srv/repx"\ndefault_scheduler = "local"\n'


def test_the_base_path_comes_from_repx_own_configuration(lab: Path, tmp_path: Path) -> None:
    dags = repx_dags(lab=lab, config_file=config(tmp_path, LOCAL))
    task = dags["repx_r"].get_task("a")
    assert isinstance(task, RepxJobOperator)
    assert task.target.base_path == Path("/srv/repx")
    dags = repx_dags(lab=lab, config_file=config(tmp_path, LOCAL), base_path=tmp_path)
    assert dags["repx_r"].get_task("a").target.base_path == tmp_path


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ('default_execution_type = "bwrap"', "bwrap"),
        ("mount_host_paths = true", "mount_host_paths"),
        ('mount_paths = ["/data"]', "mount_paths"),
    ],
)
def test_what_this_version_cannot_do_is_refused_and_not_run_natively(
    lab: Path, tmp_path: Path, setting: str, named: str
) -> None:
    with pytest.raises(UnsupportedTargetError, match=named):
        repx_dags(lab=lab, config_file=config(tmp_path, LOCAL + setting))


def test_slurm_and_other_machines_are_refused(lab: Path, tmp_path: Path) -> None:
    cluster = LOCAL + '[targets.cluster]\naddress = "hpc"\nbase_path = "/x"\ndefault_scheduler = "slurm"\n'
    with pytest.raises(UnsupportedTargetError, match="cluster"):
        repx_dags(lab=lab, config_file=config(tmp_path, cluster), target="cluster")


def test_an_unknown_target_is_told_from_the_known_ones(lab: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="'clutser'; it has: local"):
        repx_dags(lab=lab, config_file=config(tmp_path, LOCAL), target="clutser")


def test_a_relative_base_path_is_refused(lab: Path) -> None:
    with pytest.raises(TargetError, match="relative"):
        repx_dags(lab=lab, base_path="store")


def test_capacity_can_be_given(lab: Path, tmp_path: Path) -> None:
    task = repx_dags(lab=lab, base_path=tmp_path, cpus=3, memory="5G")["repx_r"].get_task("a")
    assert (task.target.capacity.cpus, task.target.capacity.memory) == (3, 5 * 2**30)
