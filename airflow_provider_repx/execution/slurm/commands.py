"""Slurm's commands on a target: started, counted, and their refusals told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from airflow_provider_repx.errors import (
    CommandTimeoutError,
    SlurmError,
    SlurmNotFoundError,
    SlurmUnavailableError,
)
from airflow_provider_repx.execution.slurm.clean import CLEAN
from airflow_provider_repx.execution.transport import Transport

__all__ = ["CLEAN", "is_unavailable", "run_slurm"]

_NOT_FOUND = 127

_UNAVAILABLE = re.compile(
    r"unable to contact slurm controller|socket timed out|connection refused|connection timed out|"
    r"unable to establish control|slurm_load_jobs error: (zero bytes|unexpected message)|"
    r"slurm backup controller in standby|transport endpoint|zero bytes were transmitted|"
    r"communication connection failure|resource temporarily unavailable|temporarily unable|"
    r"protocol authentication error|munge|no network address|could not resolve|dns srv|fetch_config",
    re.IGNORECASE,
)


def is_unavailable(message: str) -> bool:
    """Whether a message of Slurm says that its controller does not answer now."""
    return _UNAVAILABLE.search(message) is not None


async def run_slurm(
    transport: Transport, command: Sequence[str], *, timeout: float, count: Callable[[str], None] | None = None
) -> str:
    """What one of Slurm's commands prints.

    Raises `SlurmUnavailableError` when the controller does not answer, also not in time; `SlurmNotFoundError` when the
    target has no such command; `SlurmError` for any other refusal; `TransportError`.
    """
    if count is not None:
        count(command[0])
    where = f"{command[0]} on {transport.description}"
    try:
        done = await transport.run([*CLEAN, *command], timeout=timeout)
    except CommandTimeoutError as error:
        raise SlurmUnavailableError(f"{where} did not answer within {timeout:.0f} s.") from error
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.exit_code == 0:
        return done.stdout.decode("utf-8", "replace")
    if done.exit_code == _NOT_FOUND:
        raise SlurmNotFoundError(
            f"{where} was not found: install Slurm's commands there, or add them to the PATH of a login."
        )
    if is_unavailable(said):
        raise SlurmUnavailableError(f"{where}: Slurm's controller does not answer: {said}")
    raise SlurmError(f"{where} ended with exit code {done.exit_code}: {said}")
