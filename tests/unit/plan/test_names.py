from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.plan.names import MAX_LENGTH, Nameable, UniqueIds, group_id_for, task_ids

pytestmark = pytest.mark.unit


def ids(*names: str) -> list[str]:
    return task_ids([Nameable(name, None, ()) for name in names])


def test_names_stay_as_they_are_where_airflow_allows_it() -> None:
    assert ids("simulate", "stage-A_1.1") == ["simulate", "stage-A_1.1"]


def test_other_characters_are_replaced_without_collisions() -> None:
    assert ids("a b", "a_b", "a/b", "") == ["a_b", "a_b__2", "a_b__3", "_"]


def test_a_numbered_id_does_not_take_the_name_of_another_stage() -> None:
    assert ids("a", "a", "a__2") == ["a", "a__3", "a__2"]


def test_reserved_ids_are_avoided() -> None:
    assert ids("open_lab", "summary", "wait_for_data") == ["stage_open_lab", "stage_summary", "stage_wait_for_data"]
    assert ids("sync") == ["stage_sync"], "what ships the lab to another machine is called so"
    assert ids("summary", "stage_summary") == ["stage_summary", "stage_summary__2"]


def test_stages_of_one_name_are_called_after_pipeline_then_wiring() -> None:
    assert task_ids(
        [
            Nameable("plot", "p", ("a", "b")),
            Nameable("plot", "p", ("c",)),
            Nameable("plot", "q", ()),
        ]
    ) == ["plot__from_a_and_b", "plot__from_c", "q__plot"]


def test_long_names_are_cut() -> None:
    first, second = ids("x" * 300, "x" * 301)
    assert len(first) == len(second) == MAX_LENGTH
    assert first != second


def test_a_group_has_no_dots() -> None:
    assert group_id_for("stage-1.1") == "stage-1_1__points"


def test_claimed_ids_are_told() -> None:
    unique = UniqueIds({"a"})
    assert unique.would_change("a")
    assert not unique.would_change("b")
    assert unique.claim("a") == "a__2"


texts = st.text(alphabet=st.sampled_from("ab_. /é"), max_size=5) | st.sampled_from(["summary", "x" * 130, "wait_for_x"])


@given(st.lists(st.builds(Nameable, texts, st.none() | texts, st.lists(texts, max_size=2).map(tuple)), max_size=12))
def test_ids_are_unique_and_allowed(stages: list[Nameable]) -> None:
    found = task_ids(stages)
    assert len(set(found)) == len(stages)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,120}", name) for name in found)
    assert not any(name in {"summary", "open_lab"} or name.startswith("wait_for_") for name in found)
    groups = UniqueIds(set(found))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,120}", groups.claim(group_id_for(name))) for name in found)
