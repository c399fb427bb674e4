"""Single commands on a target's machine, which may be this one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.transport import Completed
from airflow_provider_repx.hooks.reaching import connector
from airflow_provider_repx.targets import Target

__all__ = ["ask", "read", "told"]

_QUICK_SECONDS = 30.0
_TRANSFER_SECONDS = 600.0


def ask(target: Target, command: Sequence[str], *, timeout: float = _QUICK_SECONDS) -> Completed:
    """Run a command where the target's jobs run, whatever its exit code; raises `TargetError` or `TransportError`."""
    transport = connector(target).open()

    async def run() -> Completed:
        try:
            return await transport.run(command, timeout=timeout)
        finally:
            await transport.close()

    return asyncio.run(run())


def read(target: Target, command: Sequence[str]) -> bytes:
    """What a command prints that reads the output store; raises `StoreError` where it fails, and as `ask` does."""
    done = ask(target, command, timeout=_TRANSFER_SECONDS)
    if done.exit_code:
        raise StoreError(f"on {target.address or target.ssh_connection}: {told(done)}")
    return done.stdout


def told(done: Completed) -> str:
    """Why a command failed, as far as it told."""
    return done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.exit_code}"
