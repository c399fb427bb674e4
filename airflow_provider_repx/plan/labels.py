"""What tells the points of a chain from each other: their values, their order, and the text that users see."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from airflow_provider_repx.lab.models import JobId, Run, Scalar
from airflow_provider_repx.plan.links import LinkedStages
from airflow_provider_repx.plan.stages import Stages

__all__ = ["MAX_LABEL", "Parameters", "labeled", "shown", "sort_key"]

MAX_LABEL: Final = 240
"""Characters of a label; Airflow keeps 250 of what it shows for a map index."""

Parameters: TypeAlias = Mapping[str, Scalar]

_ELLIPSIS: Final = "…"
_STORE_PATH: Final = re.compile(r"/nix/store/[0-9a-z]{32}-")
_SHORT_ID: Final = 8

_Point: TypeAlias = tuple[JobId, ...]
_SortKey: TypeAlias = tuple[object, ...]


def labeled(
    chain: LinkedStages, stages: Stages, run: Run, known: Mapping[JobId, Parameters]
) -> tuple[tuple[_Point, str], ...]:
    """The points of a chain in their final order, each with a label that no other point of the chain has.

    `known` tells the values of each job: the sweep's where the lab records them, otherwise the effective parameters. A
    point is described by the names whose values vary in the chain: those that the chain's own stages declare, in the
    order in which they do, then those of stages upstream. Points are sorted by these values, the first name slowest,
    and where they are equal by job id.
    """
    values = [_values(point, known) for point in chain.points]
    names = [name for name in _names(chain, stages, run, known) if _varies(name, values)]
    keyed = sorted(
        (tuple(sort_key(value.get(name), missing=name not in value) for name in names), point, _text(names, value))
        for point, value in zip(chain.points, values, strict=True)
    )
    labels = _unique([text for _, _, text in keyed], [point[0] for _, point, _ in keyed])
    return tuple((point, label) for (_, point, _), label in zip(keyed, labels, strict=True))


def shown(value: Scalar) -> str:
    """A value as users see it: paths in the Nix store without folder and hash, booleans and null as in Nix."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return " ".join(_STORE_PATH.sub("", str(value)).split())


def sort_key(value: Scalar, *, missing: bool = False) -> _SortKey:
    """A key that puts any values in one order: none, null, booleans, numbers, then strings.

    Digits in strings count as numbers, so ``exp-10`` follows ``exp-2``; the hash in a store path does not count.
    """
    if missing:
        return (0,)
    if value is None:
        return (1,)
    if isinstance(value, bool):
        return (2, value)
    # Not a number compares with nothing, so it goes behind the numbers.
    if isinstance(value, int | float):
        return (3, value) if value == value else (4,)  # noqa: PLR0124 - the definition of not a number
    return (5, _natural(shown(value)), value)


def _natural(text: str) -> tuple[object, ...]:
    parts = re.split(r"([0-9]+)", text)
    return tuple((len(part.lstrip("0")), part.lstrip("0")) if number % 2 else part for number, part in enumerate(parts))


def _values(point: _Point, known: Mapping[JobId, Parameters]) -> Parameters:
    if len(point) == 1:
        return known[point[0]]
    values: dict[str, Scalar] = {}
    for job in reversed(point):
        values.update(known[job])
    return values


def _names(chain: LinkedStages, stages: Stages, run: Run, known: Mapping[JobId, Parameters]) -> list[str]:
    """Every name that a label of the chain could show, in order of interest."""
    names: dict[str, None] = {}
    for position in (*chain.stages, *_ancestors(chain.stages, stages)):
        for job in stages.all[position].jobs:
            names.update(dict.fromkeys(run.jobs[job].params))
    others = {name for point in chain.points for job in point for name in known[job]}
    return [*names, *sorted(others - names.keys())]


def _ancestors(members: Sequence[int], stages: Stages) -> list[int]:
    """The positions of all stages upstream of the given ones and not among them, nearest first."""
    found: dict[int, None] = dict.fromkeys(members)
    pending = list(members)
    for position in pending:
        for up in stages.all[position].upstream:
            if up not in found:
                found[up] = None
                pending.append(up)
    return list(found)[len(members) :]


def _varies(name: str, values: Sequence[Parameters]) -> bool:
    return len({sort_key(value.get(name), missing=name not in value) for value in values}) > 1


def _text(names: Sequence[str], values: Parameters) -> str:
    return ", ".join(f"{name}={shown(values[name])}" for name in names if name in values)


def _unique(texts: Sequence[str], jobs: Sequence[JobId]) -> list[str]:
    """The texts, cut to length, each told from its equals by the beginning of its job's id."""
    labels = [_cut(text) for text in texts]
    for length in (_SHORT_ID, None):
        counts = Counter(labels)
        labels = [
            _cut(text, job[:length]) if counts[label] > 1 else label
            for text, label, job in zip(texts, labels, jobs, strict=True)
        ]
    return labels


def _cut(text: str, suffix: str = "") -> str:
    suffix = f" {suffix}" if text and suffix else suffix
    room = MAX_LABEL - len(suffix)
    return (text if len(text) <= room else text[: room - len(_ELLIPSIS)] + _ELLIPSIS) + suffix
