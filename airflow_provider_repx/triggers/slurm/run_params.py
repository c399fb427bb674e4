"""A DAG run's params in the triggerer, worked out once for all triggers of the run.

Airflow checks each param against its schema whenever they are asked for, which takes a trigger longer than the rest of
its work. They depend on the DAG's version, the task, and what the run was triggered with, and on nothing else.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

__all__ = ["run_params"]

_KEPT = 64

_known: OrderedDict[tuple[str, str, str], Mapping[str, Any]] = OrderedDict()


def run_params(instance: Any) -> dict[str, Any]:
    """The params of the DAG run of a task instance that was started in the triggerer."""
    key = _key(instance)
    if key is None:
        return _asked(instance)
    if key not in _known:
        _known[key] = _asked(instance)
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    _known.move_to_end(key)
    return dict(_known[key])


def _asked(instance: Any) -> dict[str, Any]:
    return dict(instance.get_template_context()["params"])


def _key(instance: Any) -> tuple[str, str, str] | None:
    """What the params depend on; `None` where an Airflow does not tell it this way."""
    # Airflow has no public way to this without the context, which is what takes so long.
    run = getattr(getattr(instance, "_ti_context_from_server", None), "dag_run", None)
    version = getattr(instance, "dag_version_id", None)
    if run is None or version is None:
        return None
    return str(version), str(instance.task_id), json.dumps(run.conf, sort_keys=True, default=repr)
