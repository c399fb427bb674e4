from __future__ import annotations

import pytest

from airflow_provider_repx.plan import StageRow, describe, markdown_table
from tests.unit.plan.making import RunMaker, prepare_simulate_measure

pytestmark = pytest.mark.unit


def test_one_row_per_task() -> None:
    maker = RunMaker()
    prepare_simulate_measure(maker)
    plan = maker.plan(max_mapped=4)
    assert describe(plan) == (
        StageRow("prepare", 2, 1, "repx_local", 1),
        StageRow("simulate", 12, 3, "repx_local", 1),
        StageRow("measure", 12, 3, "repx_local", 1),
    )
    assert markdown_table(plan) == (
        "| Stage    | Points | Points per task | Pool       | Slots |\n"
        "| -------- | -----: | --------------: | ---------- | ----: |\n"
        "| prepare  |      2 |               1 | repx_local |     1 |\n"
        "| simulate |     12 |               3 | repx_local |     1 |\n"
        "| measure  |     12 |               3 | repx_local |     1 |"
    )
