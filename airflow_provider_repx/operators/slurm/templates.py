"""Which templates a triggerer can render.

It has no database, and a request of the task SDK that its supervisor does not know is never answered: the trigger would
wait for ever. XComs, for one, cannot be pulled there. It has neither the DAG's own macros and filters nor its files.
So only what is known to come with the task instance is rendered there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2
from jinja2 import nodes

__all__ = ["needs_worker"]

_NAMES = frozenset(
    {
        "dag", "dag_run", "data_interval_end", "data_interval_start", "ds", "ds_nodash", "logical_date", "macros",
        "params", "run_id", "task", "task_instance_key_str", "ts", "ts_nodash", "ts_nodash_with_tz",
    }
)  # fmt: skip
_FILTERS = frozenset({"ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"})
_FILES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_INSTANCE = frozenset({"ti", "task_instance"})
_ASKING = _INSTANCE | {"conn", "var"}
_OF_INSTANCE = frozenset({"dag_id", "map_index", "run_id", "task_id", "try_number"})


def needs_worker(value: Any) -> bool:
    """Whether a templated argument has something that only a worker can put in: values of other tasks, variables.

    `value` may hold others: a list, a tuple or a dict.
    """
    # What Airflow resolves at run time: XComs, and arguments of a mapped task group.
    if hasattr(value, "iter_references"):
        return True
    if isinstance(value, dict):
        return any(map(needs_worker, (*value.keys(), *value.values())))
    if isinstance(value, list | tuple):
        return any(map(needs_worker, value))
    return isinstance(value, str) and _text_needs_worker(value)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(autoescape=False, extensions=["jinja2.ext.do"])  # noqa: S701 - parses, never renders


def _text_needs_worker(text: str) -> bool:
    if not any(mark in text for mark in ("{{", "{%", "{#")):
        return False
    environment = _environment()
    try:
        tree = environment.parse(text)
    except jinja2.TemplateSyntaxError:
        # There it fails with Airflow's own message.
        return True
    if any(tree.find_all(_FILES)):
        return True
    if any(found.name not in environment.filters.keys() | _FILTERS for found in tree.find_all(nodes.Filter)):
        return True
    return bool(_foreign_names(tree))


def _foreign_names(tree: nodes.Template) -> set[str]:
    """Names that are neither set in the template itself nor known to a triggerer."""
    own = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    own |= {macro.name for macro in tree.find_all(nodes.Macro)}
    known = (own - _ASKING) | _NAMES | set(_environment().globals) | {"loop"}
    harmless = {
        id(found.node)
        for found in tree.find_all(nodes.Getattr)
        if isinstance(found.node, nodes.Name) and found.node.name in _INSTANCE and found.attr in _OF_INSTANCE
    }
    return {
        name.name
        for name in tree.find_all(nodes.Name)
        if name.ctx == "load" and name.name not in known and id(name) not in harmless
    }
