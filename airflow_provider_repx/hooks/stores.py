"""From a target to its output store, on this machine or on another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.execution.store.remote import RemoteOutputStore
from airflow_provider_repx.hooks.reaching import aconnector, connector

if TYPE_CHECKING:
    from airflow_provider_repx.targets import Target

__all__ = ["astore_of", "store_of"]


def store_of(target: Target) -> OutputStore:
    """The store of a target; for code that is not asynchronous.

    Raises `TargetError` where a connection is missing or wrong. Nothing is reached before the store is asked.
    """
    if target.is_remote:
        return RemoteOutputStore(target.base_path, connector(target).open)
    return OutputStore(target.base_path)


async def astore_of(target: Target) -> OutputStore:
    """As `store_of`, where nothing may block: in the triggerer, which then asks the store in a thread."""
    if target.is_remote:
        return RemoteOutputStore(target.base_path, (await aconnector(target)).open)
    return OutputStore(target.base_path)
