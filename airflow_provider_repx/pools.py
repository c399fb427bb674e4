"""Airflow pools, created and sized as plans ask. Needs Airflow's database: the scheduler or the command line."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow.models.pool import Pool
from airflow.utils.session import create_session
from airflow.utils.sqlalchemy import is_lock_not_available_error
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError

from airflow_provider_repx.plan import PoolPlan

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["ensure_pools", "planned_changes"]

_log = logging.getLogger(__name__)

_TO_DO = {"created": "create", "resized": "resize"}
"""How what was done is called before it is."""

_PAUSES = (0.0, 1.0, 5.0, 15.0)
"""Seconds before each further attempt."""


def ensure_pools(plans: Iterable[PoolPlan]) -> list[str]:
    """Create the pools that are missing and resize those whose planned size changed; say what was done.

    The description holds the planned size. While it is unchanged, a number of slots that somebody set by hand stays.
    Safe to call from several processes at once.
    """
    done = []
    for plan in plans:
        if plan.slots is None:
            continue
        change = _ensure(plan)
        if change is not None:
            _log.info("%s", change)
            done.append(change)
    return done


def planned_changes(plans: Iterable[PoolPlan]) -> list[str]:
    """What `ensure_pools` would do, without doing it, such as ``create pool repx_local with 8 slots``."""
    with create_session() as session:
        changes = [change for plan in plans if (change := _apply(session, plan)) is not None]
        session.rollback()
    return [_TO_DO[done] + " " + rest for done, _, rest in (change.partition(" ") for change in changes)]


def _ensure(plan: PoolPlan) -> str | None:
    for pause in _PAUSES:
        try:
            with create_session() as session:
                return _apply(session, plan)
        except (IntegrityError, OperationalError) as error:  # noqa: PERF203 - each attempt has its own outcome
            if isinstance(error, OperationalError) and not is_lock_not_available_error(error):
                raise
            # Another process created the pool between our look and our write, or the database is busy. A task whose
            # pool is missing waits without a word, so this is worth some patience.
            _log.info("pool %s: trying again: %s", plan.name, error)
            time.sleep(pause)
    with create_session() as session:
        return _apply(session, plan)


def _apply(session: Session, plan: PoolPlan) -> str | None:
    slots = plan.slots
    if slots is None:
        return None
    pool = session.scalar(select(Pool).where(Pool.pool == plan.name))
    if pool is None:
        session.add(Pool(pool=plan.name, slots=slots, description=plan.description, include_deferred=True))
        return f"created pool {plan.name} with {slots} slots"
    if pool.description == plan.description:
        return None
    before = pool.slots
    pool.slots = slots
    pool.description = plan.description
    pool.include_deferred = True
    return f"resized pool {plan.name} from {before} to {slots} slots"
