"""Jobs whose task was ended while no triggerer could hear of it.

A user marks a task as failed, or deletes its DAG run, while the triggerer is down: nobody calls `on_kill`. So every
triggerer compares, soon after it first uses a cluster and from time to time, the claims of the jobs in the queue with
the states of their tasks, and ends the jobs of tasks that have ended. Claims carry the name of the Airflow that made
them: what another Airflow runs on the same cluster is none of this one's business.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

from airflow.sdk.configuration import conf

from airflow_provider_repx.errors import RepxError, SlurmUnavailableError
from airflow_provider_repx.execution.slurm import JobKey, SlurmCluster
from airflow_provider_repx.execution.slurm.clean import CLEAN
from airflow_provider_repx.execution.store import Claimant, ClaimRecord, JobPaths
from airflow_provider_repx.execution.transport import Transport
from airflow_provider_repx.triggers.slurm.questions import RunKey, ask_states, instance_name

__all__ = ["airflow_label", "end_orphans", "watch_for_orphans"]

_log = logging.getLogger(__name__)

_FIRST_SECONDS = 10.0
_SECONDS = 300.0
_TIMEOUT_SECONDS = 120.0

_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


_States: TypeAlias = Callable[[RunKey, Collection[str]], Awaitable[dict[str, str | None]]]


@cache
def airflow_label() -> str:
    """A name for this Airflow that another one does not have, and that tells nothing secret."""
    parts = (conf.get("core", "fernet_key", fallback=""), conf.get("api", "base_url", fallback=""))
    digest = hashlib.pbkdf2_hmac("sha256", "\n".join(map(str, parts)).encode(), b"repx", 1000).hex()
    return f"Airflow {digest[:12]}"


async def watch_for_orphans(cluster: SlurmCluster, transport: Transport, base_path: Path) -> None:
    """End orphans again and again, until cancelled; what keeps it from doing so is logged, and tried again."""
    pause = _FIRST_SECONDS
    while True:
        await asyncio.sleep(pause)
        pause = _SECONDS
        try:
            await end_orphans(cluster, transport, base_path)
        except RepxError as error:
            _log.warning("Jobs of tasks that have ended could not be looked for: %s", error)
        except Exception:  # noqa: BLE001 - whatever it is, it must not keep triggers from their work
            _log.exception("Jobs of tasks that have ended could not be looked for")


async def end_orphans(
    cluster: SlurmCluster, transport: Transport, base_path: Path, states_of: _States = ask_states
) -> list[Claimant]:
    """End the jobs of this Airflow's tasks that have ended or are not there any more, and return whose they were.

    `states_of` tells the states of all instances of some tasks of a DAG run, by `instance_name`. Raises `RepxError`
    where the cluster cannot be asked.
    """
    found = [key for key in await _claims(transport, base_path) if key.claimant.label == airflow_label()]
    by_run: dict[RunKey, list[JobKey]] = defaultdict(list)
    for key in found:
        by_run[RunKey.of(key.claimant)].append(key)
    orphans: list[JobKey] = []
    for run, keys in by_run.items():
        states = await states_of(run, sorted({key.claimant.task_id for key in keys}))
        orphans += [key for key in keys if states.get(instance_name(key.claimant), "removed") in _ENDED]
    if orphans:
        _log.warning("Ending jobs whose tasks have ended: %s", "; ".join(str(key.claimant) for key in orphans))
        await cluster.cancel(orphans)
    return [key.claimant for key in orphans]


@cache
def _script() -> str:
    return (files("airflow_provider_repx.triggers.slurm") / "claims.sh").read_text(encoding="utf-8")


async def _claims(transport: Transport, base_path: Path) -> list[JobKey]:
    command = [*CLEAN, "bash", "-c", _script(), "claims", str(base_path)]
    done = await transport.run(command, timeout=_TIMEOUT_SECONDS)
    if done.exit_code:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise SlurmUnavailableError(f"{transport.description}: the queue cannot be read: {said}")
    return list(_keys(done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]))


def _keys(fields: Sequence[str]) -> Iterable[JobKey]:
    for root, claim in zip(fields[::2], fields[1::2], strict=True):
        try:
            record = ClaimRecord.from_mapping(json.loads(claim))
        except (KeyError, TypeError, ValueError):
            # Another version's; whoever made it takes care of it.
            continue
        yield JobKey(record.claimant, JobPaths(Path(root)))
