"""What a scatter has found: ``scatter/out/work_items.json``, one item per branch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_repx.errors import WorkItemsError
from airflow_provider_repx.execution.store.files import store_error
from airflow_provider_repx.execution.store.layout import OutputStore
from airflow_provider_repx.lab.models import JobId
from airflow_provider_repx.plan.labels import MAX_LABEL, shown

__all__ = ["WorkItem", "parse_work_items", "read_work_items"]

_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class WorkItem:
    """One item. `content` is what the branch's ``work_item.json`` holds: compact JSON, as RepX writes it."""

    index: int
    content: bytes
    label: str


def read_work_items(store: OutputStore, job_id: JobId) -> tuple[WorkItem, ...]:
    """The items that a job's scatter has left in a store on this machine.

    Raises `WorkItemsError` that names the file when it is not there or not what it should be, and `StoreError` when it
    cannot be read.
    """
    path = store.job(job_id).work_items
    content: bytes | None = None
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        raise WorkItemsError(_advice(path, "is a folder")) from None
    except OSError as error:
        raise store_error("read the work items", path, error) from error
    return parse_work_items(content, path)


def parse_work_items(content: bytes | None, path: Path) -> tuple[WorkItem, ...]:
    """The items in the content of a ``work_items.json``, `None` without one; `path` is what messages call it.

    Raises `WorkItemsError` when it is not a JSON array.
    """
    if content is None:
        raise WorkItemsError(_advice(path, "is not there, although scatter has ended without an error"))
    try:
        items = json.loads(content, parse_float=_finite, parse_constant=_refuse_constant)
        if not isinstance(items, list):
            raise WorkItemsError(_advice(path, f"holds {_kind(items)}"))
        # A lone surrogate can be read, but not be written.
        return tuple(WorkItem(index, _compact(item), _label(index, item)) for index, item in enumerate(items))
    except (ValueError, RecursionError) as error:
        raise WorkItemsError(_advice(path, f"is not JSON: {error}")) from error


def _advice(path: Path, wrong: str) -> str:
    return (
        f"{path}: {wrong}. The scatter of this job has to write a JSON array there, with one item per branch. Correct"
        " its script; the next try runs scatter again."
    )


def _compact(item: Any) -> bytes:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        # The item would be written as Infinity, which no step could read.
        raise ValueError(f"{text} is not a number in the range of double precision")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    return "a string" if isinstance(value, str) else f"the value {json.dumps(value)}"


def _label(index: int, item: Any) -> str:
    """The item's number, and a short text that tells what it is about where there is one."""
    text = _text(item)
    label = f"{index}: {text}" if text else str(index)
    return label if len(label) <= MAX_LABEL else f"{label[: MAX_LABEL - 1]}…"


def _text(item: Any) -> str:
    if isinstance(item, _SCALARS):
        return shown(item)
    if not isinstance(item, dict):
        return ", ".join(shown(value) for value in item) if all(isinstance(value, _SCALARS) for value in item) else ""
    scalars = {name: value for name, value in item.items() if isinstance(value, _SCALARS)}
    for name in ("name", "id"):
        if scalars.get(name) not in (None, ""):
            return shown(scalars[name])
    return ", ".join(f"{shown(name)}={shown(value)}" for name, value in scalars.items())
