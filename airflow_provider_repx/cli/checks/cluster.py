"""The machine that a target's jobs are submitted on, and its Slurm."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from airflow_provider_repx.cli.checks.finding import Finding, broken, ok, warning
from airflow_provider_repx.cli.checks.space import LITTLE_SPACE, round_amount
from airflow_provider_repx.cli.there import Session, machine_of, told
from airflow_provider_repx.errors import (
    HostKeyError,
    RepxError,
    SlurmNotFoundError,
    SlurmUnavailableError,
)
from airflow_provider_repx.execution.slurm import DiscoveredPartition, discover_partitions
from airflow_provider_repx.execution.slurm.commands import run_slurm
from airflow_provider_repx.targets import Target

__all__ = ["PartitionState", "check_machine", "check_slurm", "judge_partitions", "parse_states"]

_SECONDS = 20.0
_NOT_WRITABLE = 13
_USABLE = ("idle", "mixed", "allocated", "completing", "reserved", "planned", "powering_up", "powered_down")

# Writing is tried rather than looked up: quotas and access lists are in no permission bit.
_LOOK_AT_FOLDER = """
folder=$1
while [ ! -e "$folder" ]; do folder=$(dirname -- "$folder"); done
probe=$(mktemp -- "$folder/.repx-probe-XXXXXXXX") || exit 13
echo x >"$probe" || { rm -f -- "$probe"; exit 13; }
rm -- "$probe" && df -Pk -- "$folder"
"""


@dataclass(frozen=True)
class PartitionState:
    """One line of sinfo: so many nodes of a partition are in a state; `up`: the partition lets jobs begin."""

    name: str
    up: bool
    nodes: int
    state: str

    @property
    def usable(self) -> bool:
        """Whether jobs can begin there, now or when others have ended."""
        # A node that does not answer has a star behind its state.
        return self.up and not self.state.endswith("*") and self.state.rstrip("~#!%$@^-").startswith(_USABLE)


def check_machine(session: Session, target: Target, lab: str) -> Iterator[Finding]:
    """Whether another machine can be reached, and has room for results."""
    subject = f"SSH of {lab}"
    command = ["sh", "-c", _LOOK_AT_FOLDER, "look", str(target.base_path)]
    try:
        done = session.ask(command, timeout=_SECONDS)
    except HostKeyError as error:
        yield broken(subject, f"host key: {error}")
        return
    except (RepxError, OSError) as error:
        yield broken(subject, str(error))
        return
    yield ok(subject, f"{machine_of(target)} answers")
    subject = f"base path of {lab}"
    if done.exit_code:
        reason = f"cannot be written: {told(done)}" if done.exit_code == _NOT_WRITABLE else told(done)
        yield broken(subject, f"{target.base_path} there: {reason}. Choose another `base_path`, or repair this one")
        return
    free = int(done.stdout.decode("utf-8", "replace").splitlines()[-1].split()[3]) * 1024
    text = f"{target.base_path} there: {round_amount(free)} free"
    if free < LITTLE_SPACE:
        yield warning(subject, f"{text}: that is little. Make room, or choose another `base_path`")
    else:
        yield ok(subject, text)


def check_slurm(session: Session, wanted: Collection[str | None], lab: str) -> Iterator[Finding]:
    """Whether Slurm takes jobs in the partitions that they ask for; `None` is the default one."""
    subject = f"Slurm of {lab}"
    transport = session.transport
    try:
        version = session.wait(run_slurm(transport, ["sbatch", "--version"], timeout=_SECONDS)).strip()
        partitions = session.wait(discover_partitions(transport, timeout=_SECONDS))
        asked = ["sinfo", "-h", "-o", "%R|%a|%D|%T"]
        states = parse_states(session.wait(run_slurm(transport, asked, timeout=_SECONDS)))
    except SlurmNotFoundError as error:
        yield broken(subject, str(error))
        return
    except SlurmUnavailableError as error:
        # Where munge is down they go on trying without a word.
        yield broken(subject, f"{error} Check that munge runs there, and slurmctld on its machine")
        return
    except (RepxError, OSError) as error:
        yield broken(subject, str(error))
        return
    yield ok(subject, f"{version} on {transport.description}")
    yield from judge_partitions(partitions, states, wanted, f"partitions of {lab}")


def parse_states(text: str) -> tuple[PartitionState, ...]:
    """From lines ``partition|up or down|number of nodes|state``."""
    fields = (line.rsplit("|", 3) for line in text.splitlines())
    return tuple(PartitionState(line[0], line[1] == "up", int(line[2]), line[3]) for line in fields if len(line) > 3)  # noqa: PLR2004 - the fields above


def judge_partitions(
    partitions: dict[str, DiscoveredPartition],
    states: Collection[PartitionState],
    wanted: Collection[str | None],
    subject: str,
) -> Iterator[Finding]:
    """Whether each partition that jobs ask for is there and has a node that takes jobs."""
    default = next((found.name for found in partitions.values() if found.is_default), None)
    if None in wanted and default is None:
        yield broken(subject, "jobs name no partition, and the cluster has no default one: set `partition` for the lab")
    # A job may name several, separated by commas, and takes the first that is free.
    named = sorted({name for text in wanted for name in (text or default or "").split(",") if name})
    if missing := [name for name in named if name not in partitions]:
        yield broken(
            subject,
            f"the cluster has none called {', '.join(missing)}; it has: {', '.join(sorted(partitions)) or 'none'}."
            " Correct `partition` of the lab, its jobs' hints, or the rules of resources.toml",
        )
    for name in named:
        own = [state for state in states if state.name == name]
        if name in partitions and not any(state.usable for state in own):
            nodes = ", ".join(f"{state.nodes} {state.state}" for state in own) or "none"
            down = "" if all(state.up for state in own) else "the partition is not up; "
            yield warning(subject, f"{name}: no node takes jobs, so they wait: {down}nodes: {nodes}")
        elif name in partitions:
            cpus = partitions[name].capacity.cpus
            yield ok(subject, f"{name}{' (default)' if name == default else ''}: {cpus} CPUs")
