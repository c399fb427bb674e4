"""From the bytes of a lab's JSON file to a model, with every malformed field named in plain words."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from airflow_provider_repx.errors import LabFormatError

__all__ = ["Problem", "collection_paused", "parse", "raise_for"]

_ModelT = TypeVar("_ModelT", bound=BaseModel)

_PROBLEMS_SHOWN = 10


@dataclass(frozen=True)
class Problem:
    """One malformed field. `job` is empty where the field belongs to no job."""

    job: str
    field: str
    text: str


def raise_for(problems: Sequence[Problem], shown: str, run: str | None) -> None:
    """Raise if there are problems: one line for each of the first ten, then how many more there are.

    `shown` is what messages call the file, `run` the run that it describes, if it describes one.

    Raises:
        LabFormatError: there are problems.

    """
    if not problems:
        return
    lines = []
    for problem in problems[:_PROBLEMS_SHOWN]:
        place = "/".join(part for part in (run, problem.job) if part)
        lines.append(": ".join(part for part in (shown, place, problem.field, problem.text) if part))
    if len(problems) > _PROBLEMS_SHOWN:
        lines.append(f"... and {len(problems) - _PROBLEMS_SHOWN} more problems of this file")
    raise LabFormatError("\n".join(lines))


@contextmanager
def collection_paused() -> Iterator[None]:
    """Hold back Python's cyclic garbage collector while many objects are made that all stay alive.

    It would walk them again and again: reading a run of 10,000 jobs takes two to five times as long with it.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def parse(model: type[_ModelT], content: bytes, shown: str, run: str | None = None) -> _ModelT:
    """Read the JSON text `content` as a `model`; `shown` and `run` place the problems, as in `raise_for`.

    Raises:
        LabFormatError: it is not JSON, or fields are missing or of the wrong type.

    """
    try:
        with collection_paused():
            return model.model_validate_json(content)
    except ValidationError as error:
        problems = _problems(error, has_jobs=run is not None)
    raise_for(problems, shown, run)
    raise AssertionError(shown)  # pragma: no cover - a validation error always holds a problem


def _problems(error: ValidationError, *, has_jobs: bool) -> list[Problem]:
    found: dict[tuple[str, str], str] = {}
    for detail in error.errors(include_url=False):
        location = detail["loc"]
        job = ""
        if has_jobs and len(location) > 1 and location[0] == "jobs":
            job, location = str(location[1]), location[2:]
        place = job, _field(location)
        text = _text(detail["type"], detail["input"], detail.get("ctx", {}), detail["msg"], location)
        # Of the types tried for one value, the branch that came nearest says more than "wrong type".
        if place not in found or detail["type"] == "finite_number":
            found[place] = text
    return [Problem(job, field, text) for (job, field), text in found.items()]


def _value_depth(location: tuple[int | str, ...]) -> int | None:
    """How much of a location names a value that may be of several types; what follows are the types pydantic tried."""
    depth = None
    if location[:1] in {("params",), ("axes",)}:
        depth = 2
    elif location[:1] == ("executables",) and location[2:3] == ("outputs",):
        depth = 4
    return depth if depth is not None and len(location) > depth else None


def _field(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location[: _value_depth(location)]:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _text(kind: str, value: Any, context: dict[str, Any], message: str, location: tuple[int | str, ...]) -> str:
    if kind == "missing":
        if location[-1] == "params" and isinstance(value, dict) and "parameters" in value:
            return (
                "missing; this job has 'parameters' instead: every RepX calls the field 'params' in a lab's files "
                "(only in Nix it is 'parameters')"
            )
        return "missing"
    if kind == "finite_number":
        return f"must be a finite number, not {value}"
    if _value_depth(location) is not None:
        wanted = "text or an object" if location[0] == "executables" else "text, a number, true, false or null"
        return f"must be {wanted}, not {_named(value)}"
    write = _TEXTS.get(kind)
    if write is None:
        return message[:1].lower() + message[1:]
    return f"{write(context)}, not {_named(value)}"


_TEXTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "string_type": lambda _: "must be text",
    "int_type": lambda _: "must be a whole number",
    "bool_type": lambda _: "must be true or false",
    "list_type": lambda _: "must be a list",
    "tuple_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be an object",
    "mapping_type": lambda _: "must be an object",
    "model_type": lambda _: "must be an object",
    "model_attributes_type": lambda _: "must be an object",
    "literal_error": lambda context: f"must be {context['expected']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "string_too_short": lambda context: f"must have at least {context['min_length']} character",
    "string_pattern_mismatch": lambda _: "must be 64 lower-case hexadecimal digits",
}


def _named(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - fits beside the rest of the line
