from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_repx.errors import WorkItemsError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.execution.units import (
    Branch,
    Bundle,
    Unit,
    bundled,
    parse_work_items,
    part_units,
    read_work_items,
    step_units,
)
from airflow_provider_repx.lab import JobId
from airflow_provider_repx.plan import PlannedPart, PlannedScatterGather, PlannedStep
from airflow_provider_repx.plan.labels import MAX_LABEL
from tests.support.labs import job_id

pytestmark = pytest.mark.unit

PATH = Path("/base/work_items.json")

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(blacklist_categories=("Cs",))),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(alphabet=st.characters(blacklist_categories=("Cs",))), inner)
    ),
    max_leaves=8,
)


@given(st.lists(JSON))
def test_items_stay_what_they_are(items: list[Any]) -> None:
    found = parse_work_items(json.dumps(items).encode(), PATH)
    assert [json.loads(item.content) for item in found] == items
    assert [item.index for item in found] == list(range(len(items)))
    for item in found:
        assert b"\n" not in item.content
        assert item.label.startswith(str(item.index))
        assert 0 < len(item.label) <= MAX_LABEL
        assert len(item.label.splitlines()) == 1


@pytest.mark.parametrize(
    ("item", "label"),
    [
        (7, "0: 7"),
        (0.5, "0: 0.5"),
        ("two  words\n", "0: two words"),
        ("", "0"),
        (True, "0: true"),
        (None, "0: null"),
        ({"name": "north", "id": 3}, "0: north"),
        ({"id": 3, "size": 1}, "0: 3"),
        ({"name": None, "seed": 1, "rate": 0.5}, "0: name=null, seed=1, rate=0.5"),
        ({"seed": 1, "cells": [1, 2]}, "0: seed=1"),
        ({"cells": [1, 2]}, "0"),
        ([1, "a"], "0: 1, a"),
        ([[1]], "0"),
        ([], "0"),
        ({}, "0"),
    ],
)
def test_labels_tell_what_an_item_is_about(item: Any, label: str) -> None:
    (found,) = parse_work_items(json.dumps([item]).encode(), PATH)
    assert found.label == label


@given(st.binary() | st.text(alphabet=st.characters(blacklist_characters="[")).map(str.encode))
def test_anything_else_is_refused_with_the_file(content: bytes) -> None:
    assume(b"[" not in content)
    with pytest.raises(WorkItemsError, match=f"^{PATH}: "):
        parse_work_items(content, PATH)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity"])
def test_a_number_that_json_cannot_say_again_is_refused(number: str) -> None:
    with pytest.raises(WorkItemsError, match=f"^{PATH}: is not JSON: {number} is not a number"):
        parse_work_items(f'[{{"rate": {number}}}]'.encode(), PATH)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    store = OutputStore(tmp_path)
    job = JobId(job_id("split-1.1"))
    with pytest.raises(WorkItemsError, match="is not there"):
        read_work_items(store, job)
    store.job(job).work_items.mkdir(parents=True)
    with pytest.raises(WorkItemsError, match="is a folder"):
        read_work_items(store, job)


def group(jobs: int, chunk: int = 1) -> PlannedScatterGather:
    part = PlannedPart("split.scatter", "pool", 1)
    return PlannedScatterGather(
        group_id="split",
        stage="split",
        pipeline=None,
        jobs=tuple(JobId(f"job-{number}") for number in range(jobs)),
        labels=tuple(f"seed={number}" for number in range(jobs)),
        label="",
        upstream=(),
        scatter=part,
        branches_task_id="split.branches",
        steps=(PlannedStep("split.step-only", "pool", 1, "only", ()),),
        gather=part,
        chunk=chunk,
        width=100,
    )


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9))), st.integers(1, 30))
def test_bundles_hold_every_branch_in_order(branches: list[tuple[int, int]], width: int) -> None:
    found = bundled([Branch(job, number, f"{job}/{number}") for job, number in branches], width)
    assert [branch for bundle in found for branch in bundle.branches] == branches
    assert len(found) <= width
    sizes = {len(bundle.branches) for bundle in found[:-1]}
    assert len(sizes) <= 1
    for bundle in found:
        assert Bundle.from_json(json.loads(json.dumps(bundle.to_json()))) == bundle
        assert bundle.label.startswith("/".join(map(str, bundle.branches[0])))
        assert bundle.label.endswith(f"(+{len(bundle.branches) - 1})") == (len(bundle.branches) > 1)


def test_the_longest_label_leaves_room_for_the_number_of_others() -> None:
    (bundle,) = bundled([Branch(0, number, "x" * MAX_LABEL) for number in range(12)], 1)
    assert len(bundle.label) == MAX_LABEL
    assert bundle.label.endswith("x (+11)")


def test_a_branch_says_which_job_it_belongs_to_where_there_are_several() -> None:
    (item,) = parse_work_items(b'["a"]', PATH)
    assert Branch.of(group(1), 0, item).label == "0: a"
    assert Branch.of(group(2), 1, item).label == "seed=1 / 0: a"


def test_what_a_map_index_stands_for() -> None:
    assert part_units(group(1), "scatter", -1) == (Unit(JobId("job-0"), "scatter"),)
    assert part_units(group(5, chunk=2), "gather", 2) == (Unit(JobId("job-4"), "gather"),)
    bundle = Bundle(((1, 7), (2, 0)), "")
    assert step_units(group(3), "only", bundle) == (
        Unit(JobId("job-1"), "step", 7, "only"),
        Unit(JobId("job-2"), "step", 0, "only"),
    )
