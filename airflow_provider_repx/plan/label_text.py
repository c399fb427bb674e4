"""Labels of map indices as text that travels with a serialized DAG: small, and the same in every process."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Final

from airflow_provider_repx.plan.models import RunPlan

__all__ = ["TaskLabels", "labels_of", "packed_labels", "unpacked_labels"]

_LIMIT: Final = 24_000
"""Characters that the labels of one DAG may take: every waiting trigger holds a copy of its DAG."""

_LENGTHS: Final = (240, 120, 60, 30)
"""Lengths that labels are cut to until all of them fit."""

TaskLabels = tuple[tuple[str, ...], tuple[str, ...]]
"""The tasks of a mapped group, and what users see instead of their map indices, by index."""


def labels_of(plan: RunPlan) -> tuple[TaskLabels, ...]:
    """The labels of every task that a plan maps over points."""
    chains = [
        (tuple(stage.task_id for stage in chain.stages), tuple(map(chain.label_of, range(chain.width))))
        for chain in plan.chains
        if chain.width > 1
    ]
    groups = [
        ((group.scatter.task_id, group.gather.task_id), tuple(map(group.label_of, range(group.job_width))))
        for group in plan.scatter_gathers
        if group.job_width > 1
    ]
    return (*chains, *groups)


def packed_labels(labels: Sequence[TaskLabels]) -> str:
    """The labels as text, cut where they are too long in all; empty where there are none, or they never fit.

    Points of a sweep differ in few characters, so a thousand labels take some ten bytes each.
    """
    for length in _LENGTHS:
        cut = [[tasks, [_cut(label, length) for label in texts]] for tasks, texts in labels]
        data = json.dumps(cut, ensure_ascii=False, separators=(",", ":")).encode()
        text = base64.b85encode(zlib.compress(data, 9)).decode("ascii")
        if cut and len(text) <= _LIMIT:
            return text
    return ""


def unpacked_labels(text: str) -> tuple[TaskLabels, ...]:
    """The opposite of `packed_labels`; raises `ValueError` for a text that is not from there."""
    if not text:
        return ()
    try:
        data = json.loads(zlib.decompress(base64.b85decode(text)))
        return tuple((tuple(tasks), tuple(labels)) for tasks, labels in data)
    except (zlib.error, TypeError) as error:
        raise ValueError(f"not packed labels: {error}") from error


def _cut(label: str, length: int) -> str:
    """A label of at most `length` characters; what tells it from others may stand at either end."""
    if len(label) <= length:
        return label
    tail = length // 3
    return f"{label[: length - tail - 1]}…{label[-tail:]}"
