"""Strict reading of RepX's TOML files.

Unknown keys are errors, as in RepX itself; the message names the file, the key and the nearest known one.
"""

from __future__ import annotations

import difflib
import functools
import operator
import sys
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, ValidationError

from airflow_provider_repx.errors import TargetError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]  # not installed where Python is newer

__all__ = ["nearest", "read_toml", "validated"]

_Model = TypeVar("_Model", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises `TargetError` when the file cannot be read or is not TOML.
    """
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TargetError(f"{path}: cannot be read: {error.strerror}. Create it, or name another file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TargetError(f"{path}: not valid TOML: {error}. Correct the file.") from error
    return data


def validated(model: type[_Model], data: Mapping[str, Any], where: str) -> _Model:
    """The data as the given model; `where` names its origin, normally a file.

    Raises `TargetError`, which names every wrong key.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = [
            _problem(data, model, tuple(detail["loc"]), detail["type"], detail["msg"])
            for detail in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise TargetError("; ".join(f"{where}: {problem}" for problem in problems)) from None


def nearest(name: str, known: list[str]) -> str:
    """A hint for a message about an unknown name: the known one it was probably meant to be, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known are: {', '.join(sorted(known))}."


def _problem(
    data: Mapping[str, Any], model: type[BaseModel], location: tuple[str | int, ...], kind: str, message: str
) -> str:
    key = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        known = _siblings(model, location[:-1])
        if location[-1] in known:
            return f"{key}: given a second time, under another name. Keep one of the two."
        return f"{key}: unknown key. {nearest(str(location[-1]), known)}"
    if kind == "missing":
        return f"{key}: is required. Add it."
    try:
        return f"{key}: {message}, but found {functools.reduce(operator.getitem, location, data)!r}"  # type: ignore[arg-type]
    except (KeyError, IndexError, TypeError):
        return f"{key}: {message}"


def _siblings(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The keys that are known at a location, found by walking the types along it."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[_spellings(current)[str(part)]].annotation
        else:
            # A table of tables or an array of them: whatever the part is, the items are alike.
            current = get_args(current)[0 if isinstance(part, int) else -1]
        current = _without_none(current)
    return list(_spellings(current))


def _without_none(annotation: Any) -> Any:
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return next(choice for choice in get_args(annotation) if choice is not type(None))
    return annotation


def _spellings(model: type[BaseModel]) -> dict[str, str]:
    """Every spelling of every key of a model, with the name of the field that it sets."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
        found.update({choice: name for choice in choices if isinstance(choice, str)})
    return found
