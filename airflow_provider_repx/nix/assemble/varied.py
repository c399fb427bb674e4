"""Values that are the same for all instances of a stage, or one for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["Varied", "varied"]

T = TypeVar("T")


@dataclass(frozen=True)
class Varied(Generic[T]):
    """Either `shared` by all instances, or `each` instance's own, in the order of the stage's instances."""

    shared: T | None = None
    each: list[T] | None = None

    def at(self, instance: int) -> T:
        """The value of one instance of the stage."""
        if self.each is not None:
            return self.each[instance]
        return self.shared  # type: ignore[return-value]  # None is a value where T allows it


def varied(record: Any, read: Callable[[Any], T]) -> Varied[T]:
    """What Nix wrote as `{"shared": ...}` or `{"each": [...]}`, each value passed through `read`."""
    if "each" in record:
        return Varied(each=[read(value) for value in record["each"]])
    return Varied(shared=read(record["shared"]))
