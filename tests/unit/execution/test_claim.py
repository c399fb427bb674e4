from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store import (
    Claim,
    Claimant,
    ClaimRecord,
    HeldClaim,
    claim_is_live,
    read_claim,
    try_claim,
)
from airflow_provider_repx.execution.store.process_identity import ProcessIdentity

pytestmark = pytest.mark.unit

FIRST = Claimant("dag", "run", "task", 3, 1)
SECOND = Claimant("dag", "run", "task", 3, 2)


def claimed(path: Path, claimant: Claimant = FIRST) -> Claim:
    claim = try_claim(path, claimant)
    assert isinstance(claim, Claim)
    return claim


def test_one_claim_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    with claimed(path) as claim:
        held = try_claim(path, SECOND)
        assert isinstance(held, HeldClaim)
        assert held.record == claim.record
        assert claim_is_live(path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["claim"]
    assert list(tmp_path.iterdir()) == []
    assert not claim_is_live(path)


def test_a_claim_lives_while_any_copy_of_its_descriptor_does(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    claim = claimed(path)
    copy = os.dup(claim.descriptor)
    claim.leave()
    assert isinstance(try_claim(path, SECOND), HeldClaim)
    os.close(copy)
    assert not claim_is_live(path)
    with claimed(path, SECOND) as later:
        assert later.predecessor == claim.record
        assert read_claim(path) == later.record
        assert [entry.name for entry in tmp_path.iterdir()] == ["claim"]


def test_releasing_late_does_not_remove_another_claim(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    claim = claimed(path)
    path.unlink()
    with claimed(path, SECOND) as other:
        claim.release()
        assert read_claim(path) == other.record


def test_a_claim_that_was_removed_by_hand_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    claim = claimed(path)
    path.unlink()
    claim.release()
    claim.release()
    claimed(path).release()


def test_only_asking_never_looks_like_a_claim(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    claimed(path).leave()
    assert not any(claim_is_live(path) for _ in range(3))


@pytest.mark.parametrize(
    ("changes", "judged"),
    [
        ({}, True),
        ({"boot_id": "earlier"}, True),
        ({"boot_id": "earlier", "machine_id": "other"}, False),
        ({"boot_id": "earlier", "host": "other"}, False),
        ({"host": "container", "machine_id": ""}, True),
    ],
    ids=["this boot", "earlier boot", "cloned name", "cloned machine", "container on this kernel"],
)
def test_whose_free_lock_proves_an_end(tmp_path: Path, changes: dict[str, str], judged: bool) -> None:
    path = tmp_path / "claim"
    record = ClaimRecord(FIRST, process=replace(ProcessIdentity.current(), **changes))
    path.write_text(record.to_json())
    assert claim_is_live(path) is not judged
    if judged:
        claim = claimed(path, SECOND)
        assert claim.predecessor == record
        claim.release()
    else:
        with pytest.raises(StoreError, match="remove this file"):
            try_claim(path, SECOND)
        assert read_claim(path) == record


def test_a_lock_on_a_claim_that_was_replaced_meanwhile_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "claim"
    claimed(path).leave()
    winners: list[Claim] = []
    flock = fcntl.flock

    def overtaken(descriptor: int, operation: int) -> None:
        """Lets somebody else take the dead claim over just before its lock is asked for."""
        if not winners and os.path.samestat(os.fstat(descriptor), path.stat()):
            monkeypatch.undo()
            winners.append(claimed(path, SECOND))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", overtaken)
    found = try_claim(path, FIRST)
    assert isinstance(found, HeldClaim)
    assert found.record == winners[0].record
    winners[0].release()


def test_of_many_that_claim_release_and_die_one_is_inside(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    inside = threading.Semaphore(1)
    entered: list[int] = []
    intruders: list[int] = []

    def work(worker: int) -> None:
        for turn in range(100):
            found = try_claim(path, Claimant(label=str(worker)))
            if isinstance(found, HeldClaim):
                continue
            entered.append(worker)
            if not inside.acquire(blocking=False):
                intruders.append(worker)
            time.sleep(0.0002)
            inside.release()
            (found.release if turn % 2 else found.leave)()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert intruders == []
    assert len(entered) > 20
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing/\.claim-.*cannot write the claim: No such file"):
        try_claim(tmp_path / "missing" / "claim", FIRST)


def test_this_process_is_alive_and_another_start_is_not() -> None:
    here = ProcessIdentity.current()
    assert here.is_alive
    assert not replace(here, start_ticks=here.start_ticks - 1).is_alive
    assert not replace(here, boot_id="earlier").is_alive
    assert not replace(here, pid=2**22 + 1).is_alive


texts = st.text()


@given(st.builds(Claimant, texts, texts, texts, st.integers(-1, 10000), st.integers(0, 50), texts))
def test_a_record_is_one_line_and_comes_back(claimant: Claimant) -> None:
    record = ClaimRecord(claimant)
    text = record.to_json()
    assert text.isascii()
    assert "\n" not in text
    assert ClaimRecord.from_mapping(json.loads(text)) == record


def test_who_is_who() -> None:
    assert FIRST.same_task_instance(SECOND)
    assert FIRST.same_dag_run(Claimant("dag", "run", "other"))
    assert not FIRST.same_task_instance(replace(FIRST, map_index=4))
    assert not FIRST.same_dag_run(replace(FIRST, dag_id="other"))
    assert not Claimant().same_dag_run(Claimant())
    assert str(SECOND) == "DAG run run of dag, task task[3], try 2"
    assert str(Claimant(label="a notebook")) == "a notebook"
    assert str(replace(FIRST, map_index=-1, label="cli")) == "DAG run run of dag, task task, try 1 (cli)"


def test_a_claim_that_the_file_system_takes_only_in_part_is_none(tmp_path: Path) -> None:
    # In a process of its own, since the limit holds for all of its files.
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from airflow_provider_repx.execution.store import Claimant, try_claim\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try_claim(Path(sys.argv[1]), Claimant())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "claim")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "StoreError: " in done.stderr
    assert "cannot write the claim" in done.stderr
    assert list(tmp_path.iterdir()) == []
