from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.lab.models import Scalar
from airflow_provider_repx.plan.labels import MAX_LABEL, shown, sort_key
from tests.unit.plan.making import RunMaker, shuffle

pytestmark = pytest.mark.unit

STORE = "/nix/store/" + "0123456789abcdfghijklmnpqrsvwxyz"[:32]


def labels_of(*values: Scalar) -> tuple[str, ...]:
    maker = RunMaker()
    for number, value in enumerate(values):
        maker.add("train", number, params={"value": value, "constant": 7})
    (chain,) = maker.plan().chains
    return chain.labels


def test_own_parameters_first_then_upstream_ones_nearest_first() -> None:
    maker = RunMaker()
    for number in range(2):
        first = maker.add("first", number, params={"a": number})
        second = maker.add("second", number, first, params={"z": number, "b": number, "fixed": 1})
        for fold in range(2):
            maker.add("third", (number, fold), second, params={"fold": fold})
    assert maker.plan().chains[-1].labels == (
        "fold=0, z=0, b=0, a=0",
        "fold=0, z=1, b=1, a=1",
        "fold=1, z=0, b=0, a=0",
        "fold=1, z=1, b=1, a=1",
    )


def test_the_axes_of_the_lab_count_where_it_records_them() -> None:
    maker = RunMaker()
    for number in range(2):
        maker.add("train", number, params={"derived": number}, axes={"seed": number})
    (chain,) = maker.plan().chains
    assert chain.labels == ("seed=0", "seed=1")


def test_a_job_that_gathers_all_seeds_stands_for_none_of_them() -> None:
    maker = RunMaker()
    for temperature in (1, 2):
        runs = [
            maker.add("run", (temperature, seed), params={"temperature": temperature, "seed": seed})
            for seed in range(temperature, temperature + 3)
        ]
        maker.add("mean", temperature, *runs)
    assert maker.plan().chains[-1].labels == ("temperature=1", "temperature=2")


def test_true_and_one_are_two_values() -> None:
    maker = RunMaker()
    for number, pair in enumerate([(1, True), (2, 3)]):
        maker.add("both", number, *(maker.add("one", (number, value), params={"value": value}) for value in pair))
    assert not any("value" in label for label in maker.plan().chains[-1].labels)


def test_an_own_parameter_hides_the_upstream_one_of_its_name() -> None:
    maker = RunMaker()
    for number in range(2):
        first = maker.add("first", number, params={"mode": number})
        for fold in range(2):
            maker.add("second", (number, fold), first, params={"mode": f"m{fold}"})
    assert {label.split(" ")[0] for label in maker.plan().chains[-1].labels} == {"mode=m0", "mode=m1"}


def test_values_are_sorted_as_people_would() -> None:
    assert labels_of(10, 9, 2.5) == ("value=2.5", "value=9", "value=10")
    assert labels_of("exp-10", "exp-2") == ("value=exp-2", "value=exp-10")
    assert labels_of("b", 1, True, None, "a", False) == (
        "value=null",
        "value=false",
        "value=true",
        "value=1",
        "value=a",
        "value=b",
    )


def test_equal_labels_are_told_apart_by_job_id() -> None:
    maker = RunMaker()
    ids = sorted(maker.add("train", number) for number in range(3))
    (chain,) = maker.plan().chains
    assert chain.stages[0].jobs == tuple(ids)
    assert chain.labels == tuple(identifier[:8] for identifier in ids)
    one, other = labels_of(1, "1")
    assert one != other
    assert one.startswith("value=1 ")


def test_long_labels_are_cut_and_stay_unique() -> None:
    labels = labels_of(*("x" * 400 + str(number) for number in range(4)))
    assert len(set(labels)) == 4
    assert all(len(label) == MAX_LABEL for label in labels)
    assert all("…" in label for label in labels)


def test_a_single_point_needs_no_label() -> None:
    assert labels_of(1) == ("",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "0.1"),
        (1e-7, "1e-07"),
        (2.0, "2.0"),
        (True, "true"),
        (None, "null"),
        (f"{STORE}-configs/a.json", "configs/a.json"),
        ("two\nlines", "two lines"),
        ("", ""),
    ],
)
def test_values_as_users_see_them(value: Scalar, expected: str) -> None:
    assert shown(value) == expected


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.lists(scalars), st.integers())
def test_any_values_have_one_order(values: list[Scalar], seed: int) -> None:
    keys = [sort_key(value) for value in values]
    shuffled = list(keys)
    shuffle(seed, shuffled)
    assert sorted(keys) == sorted(shuffled)


def test_what_is_not_a_number_is_behind_the_numbers() -> None:
    assert sorted([math.nan, math.inf, 1.0], key=sort_key)[:2] == [1.0, math.inf]
