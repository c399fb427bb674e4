"""What a bundle of branches comes to when some of it is lost or fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from airflow_provider_repx.errors import RepxError, StoreError, UnreachableError
from airflow_provider_repx.execution.slurm import SlurmOutcome, SlurmStatus
from airflow_provider_repx.execution.store import Claimant
from airflow_provider_repx.plan import PlanOptions
from airflow_provider_repx.targets import Capacity, Target
from airflow_provider_repx.triggers.slurm import SlurmPartTrigger, StageRequest

pytestmark = pytest.mark.unit


def outcome(status: SlurmStatus) -> SlurmOutcome:
    return SlurmOutcome("step", status, reused=False, stdout=Path("/o"), stderr=Path("/e"), cause="exit code 3")


def trigger(*, try_number: int = 1, retries: int = 2) -> SlurmPartTrigger:
    request = StageRequest(
        lab_name="ising",
        lab_path=Path("/lab"),
        lab_id="0" * 32,
        run="simulation",
        stage="split",
        part="step",
        step="left",
        target=Target(name="cluster", base_path=Path("/base"), scheduler="slurm", capacity=Capacity(cpus=4)),
        options=PlanOptions(),
        retries=retries,
    )
    claimant = Claimant("repx_simulation", "manual", "split.step-left", 0, try_number)
    return SlurmPartTrigger(request=request.dump(), claimant=SlurmPartTrigger.dump_claimant(claimant))


UNREACHABLE = UnreachableError("gone")


@pytest.mark.parametrize(
    ("results", "try_number", "expected"),
    [
        ([outcome("succeeded"), outcome("lost")], 1, ("failed", True)),
        ([outcome("succeeded"), outcome("lost")], 2, ("failed", True)),
        ([outcome("succeeded"), outcome("lost")], 3, ("success", False)),
        ([outcome("succeeded"), UNREACHABLE], 1, ("failed", True)),
        ([outcome("succeeded"), UNREACHABLE, outcome("failed")], 1, ("failed", True)),
        ([outcome("succeeded"), StoreError("denied")], 3, ("success", False)),
        ([outcome("succeeded"), outcome("failed")], 1, ("success", False)),
        ([outcome("failed"), outcome("failed")], 1, ("failed", False)),
        ([outcome("lost"), outcome("lost")], 3, ("failed", True)),
    ],
    ids=str,
)
def test_what_was_lost_in_a_bundle_uses_its_tries_and_then_leaves_the_others_alone(
    results: Sequence[SlurmOutcome | RepxError], try_number: int, expected: tuple[str, bool]
) -> None:
    verdict = trigger(try_number=try_number).conclude(results)
    assert (verdict.status, verdict.retry) == expected


def test_the_last_step_fails_for_what_is_missing() -> None:
    last = trigger(try_number=3)
    last._is_last = True  # noqa: SLF001 - known once the plan is open
    assert last.conclude([outcome("succeeded"), outcome("failed")]).status == "failed"
