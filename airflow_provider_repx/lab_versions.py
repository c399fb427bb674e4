"""Lab versions and DAG runs, in Airflow's database: which versions are in use. Needs it: for the scheduler."""

from __future__ import annotations

import logging
import time

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from sqlalchemy import select, union
from sqlalchemy.exc import IntegrityError, OperationalError

from airflow_provider_repx.bundles import RepxLabBundle
from airflow_provider_repx.bundles.roots import release_labs

__all__ = ["keep_releasing", "note_lab", "release_unused_labs", "versions_in_use"]

_log = logging.getLogger(__name__)

_LONGEST_INTERVAL = 60.0
"""Seconds between two looks for versions that nobody uses, at most."""

_PAUSES = (1.0, 5.0, 15.0)
"""Seconds before each further attempt to write."""


def versions_in_use(bundle: str) -> frozenset[str]:
    """The versions of a bundle that an unfinished DAG run has, or that the next DAG run would get."""
    dag_ids = select(DagModel.dag_id).where(DagModel.bundle_name == bundle)
    states = (DagRunState.QUEUED, DagRunState.RUNNING)
    wanted = union(
        select(DagRun.bundle_version).where(DagRun.dag_id.in_(dag_ids), DagRun.state.in_(states)),
        select(DagModel.bundle_version).where(DagModel.bundle_name == bundle, ~DagModel.is_stale),
        select(DagBundleModel.version).where(DagBundleModel.name == bundle),
    )
    with create_session() as session:
        return frozenset(version for version in session.scalars(wanted) if version is not None)


def release_unused_labs(bundle: RepxLabBundle) -> list[str]:
    """Let go of the versions on this machine that the bundle no longer serves and no unfinished DAG run uses.

    Returns their names. What is let go stays until the next garbage collection of its Nix store.
    """
    released = release_labs(bundle.roots_dir, versions_in_use(bundle.name), bundle.release_after)
    for version in released:
        _log.info("RepX lab %s may be garbage-collected: no unfinished DAG run uses it", version)
    return released


def keep_releasing() -> None:
    """Look for versions that nobody uses, again and again; returns at once where no lab is served by a bundle."""
    bundles = [bundle for bundle in DagBundlesManager().get_all_dag_bundles() if isinstance(bundle, RepxLabBundle)]
    while bundles:
        for bundle in bundles:
            _try_to_release(bundle)
        time.sleep(min(_LONGEST_INTERVAL, *(max(1.0, bundle.release_after) for bundle in bundles)))


def _try_to_release(bundle: RepxLabBundle) -> None:
    try:
        release_unused_labs(bundle)
    except Exception:  # noqa: BLE001 - the next look may go better, and nobody else looks
        _log.exception("RepX could not look for lab versions of bundle %s that nobody uses", bundle.name)


def note_lab(dag_id: str, run_id: str, note: str) -> None:
    """Note at a DAG run which lab it is about, unless it has a note."""
    # The scheduler holds the row while it starts the DAG run.
    for pause in _PAUSES:
        if _could_note(dag_id, run_id, note):
            return
        time.sleep(pause)
    _note(dag_id, run_id, note)


def _could_note(dag_id: str, run_id: str, note: str) -> bool:
    try:
        _note(dag_id, run_id, note)
    except (IntegrityError, OperationalError) as error:
        _log.info("%s %s: the note about its lab has to wait: %s", dag_id, run_id, error)
        return False
    return True


def _note(dag_id: str, run_id: str, note: str) -> None:
    with create_session() as session:
        dag_run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if dag_run is not None and not dag_run.note:
            dag_run.note = note
