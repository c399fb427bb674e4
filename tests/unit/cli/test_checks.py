"""What the doctor makes of what it finds."""

from __future__ import annotations

import tarfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from airflow_provider_repx.cli.checks import machine
from airflow_provider_repx.cli.checks.cluster import PartitionState, judge_partitions, parse_states
from airflow_provider_repx.cli.checks.labs import check_lab, check_target
from airflow_provider_repx.cli.checks.space import round_amount
from airflow_provider_repx.cli.labs import ChosenLab
from airflow_provider_repx.cli.progress import elapsed
from airflow_provider_repx.execution.slurm import DiscoveredPartition
from airflow_provider_repx.factory.settings import LabSettings
from airflow_provider_repx.targets.models import Capacity
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.unit

MAIN = DiscoveredPartition("main", Capacity(cpus=8), is_default=True)
GPU = DiscoveredPartition("gpu", Capacity(cpus=4))


def test_states_of_partitions() -> None:
    assert parse_states("main|up|3|idle\na|b|up|1|down*\n\n") == (
        PartitionState("main", up=True, nodes=3, state="idle"),
        PartitionState("a|b", up=True, nodes=1, state="down*"),
    )
    for state, up, usable in (
        ("idle", True, True),
        ("mixed-", True, True),
        ("idle~", True, True),
        ("allocated", True, True),
        ("idle", False, False),
        ("idle*", True, False),
        ("drained", True, False),
        ("down", True, False),
    ):
        assert PartitionState("p", up, 1, state).usable is usable, state


@pytest.mark.parametrize(
    ("wanted", "states", "found"),
    [
        ({None}, "main|up|1|idle", [("ok", "main (default): 8 CPUs")]),
        ({"gpu,main"}, "main|up|1|idle\ngpu|up|2|mixed", [("ok", "gpu: 4 CPUs"), ("ok", "main (default): 8 CPUs")]),
        (
            {"gpu"},
            "gpu|up|2|drained\ngpu|up|1|down*",
            [("warning", "gpu: no node takes jobs, so they wait: nodes: 2 drained, 1 down*")],
        ),
        (
            {"gpu"},
            "gpu|down|1|idle",
            [("warning", "gpu: no node takes jobs, so they wait: the partition is not up; nodes: 1 idle")],
        ),
        ({"gpu"}, "", [("warning", "gpu: no node takes jobs, so they wait: nodes: none")]),
    ],
)
def test_partitions_are_judged(wanted: set[str | None], states: str, found: list[tuple[str, str]]) -> None:
    partitions = {"main": MAIN, "gpu": GPU}
    told = list(judge_partitions(partitions, parse_states(states), wanted, "s"))
    assert [(finding.level, finding.text) for finding in told] == found


def test_missing_partitions_are_named() -> None:
    (missing,) = judge_partitions({"main": MAIN}, (), {"gpu", "fast,gpu"}, "s")
    assert (missing.level, "none called fast, gpu; it has: main" in missing.text) == ("broken", True)
    (none,) = judge_partitions({"gpu": GPU}, (), {None}, "s")
    assert (none.level, "no default one" in none.text) == ("broken", True)


def chosen(lab: Path, **settings: object) -> ChosenLab:
    return ChosenLab(LabSettings.model_validate({"lab": lab, "name": "l", **settings}))


def test_labs_and_targets(tmp_path: Path) -> None:
    lab = write_lab(tmp_path / "lab", [RunSpec("one", [JobSpec(job_id("a-1"))])])
    assert [finding.level for finding in check_lab(chosen(lab))] == ["ok"]
    (gone,) = check_lab(chosen(tmp_path / "none"))
    assert (gone.level, str(tmp_path / "none") in gone.text) == ("broken", True)
    with tarfile.open(tmp_path / "lab.tar", "w") as archive:
        archive.add(lab, ".")
    (packed,) = check_lab(chosen(tmp_path / "lab.tar"))
    assert (packed.level, "unpack it" in packed.text) == ("broken", True)
    target, base = check_target(chosen(lab, base_path=tmp_path / "new" / "base"))
    assert (target.level, base.level, "made by the first run" in base.text) == ("ok", "ok", True)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    *_, base = check_target(chosen(lab, base_path=tmp_path / "file" / "base"))
    assert (base.level, "cannot be used" in base.text) == ("broken", True)
    (wrong,) = check_target(chosen(lab, base_path="relative"))
    assert (wrong.level, "relative" in wrong.text) == ("broken", True)


def test_an_old_airflow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [finding.level for finding in machine.check_versions()] == ["ok"]
    monkeypatch.setattr(machine, "version", lambda _name: "3.2.9")
    (old,) = machine.check_versions()
    assert (old.level, "3.3 or newer is needed" in old.text) == ("broken", True)


def test_amounts_and_times_for_people() -> None:
    assert [round_amount(amount) for amount in (5, 2**20, 2**30 * 5 // 2, 2**40)] == ["5B", "1M", "2G", "1T"]
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert [elapsed(begin, begin + timedelta(seconds=seconds)) for seconds in (-5, 0, 123, 3723)] == [
        "0:00",
        "0:00",
        "2:03",
        "1:02:03",
    ]
    assert elapsed(None, None) == ""
