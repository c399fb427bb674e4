"""Sweeps: which points there are for a stage that sees only some of the parameters.

A *narrowed axis* is an axis seen through some of its parameters. Points that then look alike fall into one class.
Classes are numbered in order of first appearance, the order in which Nix lists a stage's instances.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .blueprint import Axis

__all__ = ["Narrowed", "Narrower", "index_of", "positions"]


@dataclass(frozen=True)
class Narrowed:
    """`classes[position]` is the class of an axis' point; `first[class]` is that class's first point."""

    axis: int
    names: tuple[str, ...]
    classes: list[int]
    first: list[int]


def _look(value: Any) -> tuple[str, str]:
    # 1, 1.0 and true are equal in Python, yet different parameters; so are 0.0 and -0.0.
    return type(value).__name__, repr(value)


class Narrower:
    """Narrows the axes of one run, each to the same names only once."""

    def __init__(self, axes: list[Axis]) -> None:
        self.axes = axes
        self._known: dict[tuple[int, frozenset[str]], Narrowed] = {}

    def narrow(self, axis: int, names: frozenset[str]) -> Narrowed:
        """Axis number `axis` seen through `names`, which are some of its own."""
        key = (axis, names)
        if key not in self._known:
            kept = [place for place, name in enumerate(self.axes[axis].names) if name in names]
            numbers: dict[tuple[tuple[str, str], ...], int] = {}
            first: list[int] = []
            classes: list[int] = []
            for position, point in enumerate(self.axes[axis].points):
                look = tuple(_look(point[place]) for place in kept)
                if look not in numbers:
                    numbers[look] = len(numbers)
                    first.append(position)
                classes.append(numbers[look])
            kept_names = tuple(self.axes[axis].names[place] for place in kept)
            self._known[key] = Narrowed(axis, kept_names, classes, first)
        return self._known[key]

    def values(self, narrowed: Narrowed, position: int) -> Iterator[tuple[str, Any]]:
        """Names and values of a narrowed axis at a point of the axis."""
        axis = self.axes[narrowed.axis]
        for name in narrowed.names:
            yield name, axis.points[position][axis.names.index(name)]


def positions(narrowed: list[Narrowed]) -> Iterator[dict[int, int]]:
    """All combinations of classes, the last axis fastest: per axis number the first point of the class."""
    axes = [one.axis for one in narrowed]
    for point in itertools.product(*(one.first for one in narrowed)):
        yield {axis: point[place] for place, axis in enumerate(axes)}


def index_of(narrowed: list[Narrowed], position: Mapping[int, int]) -> int:
    """The number, in the order of `positions`, of the combination that a point of the whole sweep falls into."""
    index = 0
    for one in narrowed:
        index = index * len(one.first) + one.classes[position[one.axis]]
    return index
