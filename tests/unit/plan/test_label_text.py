from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.plan.label_text import labels_of, packed_labels, unpacked_labels
from tests.unit.plan.making import RunMaker, prepare_simulate_measure

pytestmark = pytest.mark.unit


def test_every_mapped_task_has_labels() -> None:
    maker = RunMaker()
    prepare_simulate_measure(maker)
    labels = labels_of(maker.plan())
    assert [tasks for tasks, _ in labels] == [("prepare",), ("simulate", "measure")]
    assert labels[0][1] == ("seed=2", "seed=10")
    assert labels_of(maker.plan(max_mapped=1)) == ()
    [_, (_, packed)] = labels_of(maker.plan(max_mapped=5))
    assert packed[0].endswith("(+2)")


@given(st.lists(st.lists(st.text(max_size=30), min_size=1, max_size=20), max_size=3))
def test_short_labels_come_back_as_they_were(texts: list[list[str]]) -> None:
    labels = tuple(((f"task{number}",), tuple(label)) for number, label in enumerate(texts))
    assert unpacked_labels(packed_labels(labels)) == labels


def test_a_thousand_points_take_a_few_kilobytes() -> None:
    labels = [(("a", "b"), tuple(f"seed={point}, temperature={point / 10}" for point in range(1000)))]
    assert len(packed_labels(labels)) < 8000


def test_labels_that_are_too_long_in_all_are_cut_at_their_middle() -> None:
    labels = [(("a",), tuple(f"{point:x}"[-1:] * 200 + f"{hash_of(point)}" for point in range(1000)))]
    [(_, cut)] = unpacked_labels(packed_labels(labels))
    assert all("…" in label for label in cut)
    assert cut[7].endswith(hash_of(7)[-5:])


def hash_of(number: int) -> str:
    import hashlib  # noqa: PLC0415 - for noise that cannot be compressed

    return hashlib.sha256(str(number).encode()).hexdigest()[:40]


def test_text_from_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match=r"packed|base85|bad"):
        unpacked_labels("hello")
