"""Files of a user's command on the target: the script that starts it, and the ends of its logs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from airflow_provider_repx.errors import CommandTimeoutError, StoreError, TransportError
from airflow_provider_repx.execution.transport import Transport
from airflow_provider_repx.execution.units.command import command_runner, command_runner_path
from airflow_provider_repx.targets import Target
from airflow_provider_repx.triggers.slurm.clusters import transport_of

__all__ = ["ship_command_runner", "tails"]

_TIMEOUT_SECONDS = 60.0
_SHIP = """
set -eu
[ -x "$1" ] && exit 0
mkdir -p -- "${1%/*}"
cat >"$1.$$"
chmod 555 -- "$1.$$"
mv -f -- "$1.$$" "$1"
"""
_TAILS = """
lines=$1
while IFS= read -r -d '' file; do
  tail -n "$lines" -- "$file" 2>/dev/null | tail -c 65536 | tr -d '\\000'
  printf '\\0'
done
"""

_shipped: WeakKeyDictionary[Transport, set[Path]] = WeakKeyDictionary()


async def ship_command_runner(target: Target) -> None:
    """See to it that the target has the script that starts commands; raises `StoreError` or `TransportError`."""
    transport = await transport_of(target)
    path = command_runner_path(target.base_path)
    known = _shipped.setdefault(transport, set())
    if path in known:
        return
    done = await transport.run(
        ["bash", "-c", _SHIP, "ship", str(path)], stdin=command_runner(), timeout=_TIMEOUT_SECONDS
    )
    if done.exit_code:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise StoreError(
            f"{target.base_path} on {transport.description}: the script that starts commands cannot be put there:"
            f" {said}. Check that the base path exists, that this user may write there, and that it is not full."
        )
    known.add(path)


async def tails(target: Target, paths: Sequence[Path], lines: int) -> list[list[str]]:
    """The last lines of files on the target; none for a file that is not there, or a machine that does not answer."""
    if lines == 0:
        return [[] for _ in paths]
    transport = await transport_of(target)
    asked = "".join(f"{path}\0" for path in paths).encode()
    try:
        done = await transport.run(["bash", "-c", _TAILS, "tails", str(lines)], stdin=asked, timeout=_TIMEOUT_SECONDS)
    except (TransportError, CommandTimeoutError):
        return [[] for _ in paths]
    texts = done.stdout.decode("utf-8", "replace").split("\0")
    return [text.splitlines() for text in (texts + [""] * len(paths))[: len(paths)]]
