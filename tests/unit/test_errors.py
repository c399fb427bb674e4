"""The drawn tree of errors is the tree of classes, in the module and in its page of the reference."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from airflow_provider_repx import errors

pytestmark = pytest.mark.unit

_PAGE = Path(__file__).parents[2] / "docs/reference/errors.md"


def _drawn(text: str) -> list[tuple[str, str | None]]:
    """Names with those of their parents, in the order they are drawn in."""
    found: list[tuple[str, str | None]] = []
    above: list[str] = []
    for branches, name in re.findall(r"^([│├└─ ]*)(\w+Error)\b", text, flags=re.MULTILINE):
        depth = len(branches) // 4
        del above[depth:]
        found.append((name, above[-1] if above else None))
        above.append(name)
    return found


def _classes() -> list[tuple[str, str | None]]:
    found = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__]
    return [(each.__name__, None if each is errors.RepxError else each.__bases__[0].__name__) for each in found]


def test_the_tree_in_the_docstring_is_that_of_the_classes() -> None:
    assert sorted(_drawn(errors.__doc__ or "")) == sorted(_classes())
    assert sorted(errors.__all__) == sorted(name for name, _ in _classes())


def test_the_reference_shows_the_same_tree() -> None:
    page = _PAGE.read_text(encoding="utf-8")
    (tree,) = re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)

    assert (errors.__doc__ or "").endswith(tree)
