"""Plans that are kept between processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.factory import plan_cache
from airflow_provider_repx.factory.plan_cache import cache_folder, cached_plan
from airflow_provider_repx.lab import Lab, read_lab
from airflow_provider_repx.plan import PlanOptions, plan_run
from airflow_provider_repx.plan.plan_text import plan_from_text, plan_to_text
from airflow_provider_repx.targets import Capacity, ResourceRules, Target
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.unit.plan.making import RunMaker, prepare_simulate_measure

pytestmark = pytest.mark.unit

TARGET = Target(name="local", base_path="/store", capacity=Capacity(cpus=8, memory=2**34))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(plan_cache, "_LEAST_JOBS", 3)


def lab_of(folder: Path, jobs: int = 4) -> Lab:
    specs = [JobSpec(job_id("simulate-1.1", str(seed)), params={"seed": seed}) for seed in range(jobs)]
    write_lab(folder, [RunSpec("simulation", specs)])
    return read_lab(folder)


def planned(lab: Lab, target: Target = TARGET, **options: Any) -> Any:
    return cached_plan(lab, "simulation", target, PlanOptions(**options), ResourceRules())


def test_a_plan_comes_back_as_it_was() -> None:
    maker = RunMaker()
    prepare_simulate_measure(maker)
    plan = maker.plan(TARGET, chunk=2)
    assert plan_from_text(plan_to_text(plan)) == plan


def test_a_kept_plan_spares_reading_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = lab_of(tmp_path / "lab")
    made = planned(lab)
    assert len(list(cache_folder().iterdir())) == 1
    again = read_lab(tmp_path / "lab")
    monkeypatch.setattr(again, "run", lambda _: pytest.fail("the run was read"))
    assert planned(again) == made


@pytest.mark.parametrize(
    "change",
    [
        {"max_mapped": 2},
        {"chunk": 2},
        {"target": TARGET.model_copy(update={"capacity": Capacity(cpus=4, memory=2**34)})},
    ],
)
def test_whatever_a_plan_depends_on_makes_it_another(tmp_path: Path, change: dict[str, Any]) -> None:
    lab = lab_of(tmp_path / "lab")
    planned(lab)
    target = change.pop("target", TARGET)
    assert planned(lab, target, **change) == plan_run(lab, "simulation", target, **change)
    assert len(list(cache_folder().iterdir())) == 2


def test_another_lab_of_the_same_id_has_another_plan(tmp_path: Path) -> None:
    planned(lab_of(tmp_path / "lab"))
    larger = lab_of(tmp_path / "larger", jobs=5)
    larger.lab_id = read_lab(tmp_path / "lab").lab_id
    assert planned(larger).chains[0].points == 5


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"0" * 64 + b"\n{}", None])
def test_a_damaged_file_is_made_anew(tmp_path: Path, content: bytes | None) -> None:
    lab = lab_of(tmp_path / "lab")
    made = planned(lab)
    [file] = cache_folder().iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-10] if content is None else content)
    assert planned(lab) == made
    assert file.read_bytes() == whole


def test_without_a_place_to_write_plans_are_made_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    lab = lab_of(tmp_path / "lab")
    assert planned(lab) == planned(lab)


def test_small_runs_are_not_kept_and_old_files_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_cache, "_KEPT", 2)
    planned(lab_of(tmp_path / "small", jobs=2))
    assert not cache_folder().exists()
    lab = lab_of(tmp_path / "lab")
    for limit in range(1, 6):
        planned(lab, max_mapped=limit)
    assert len(list(cache_folder().iterdir())) == 2
