"""A real Slurm of four emulated nodes: munged, slurmctld, one slurmd per node and, if asked for, accounting."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .accounting import start_accounting, why_no_accounting
from .daemons import DAEMON_PATH, ClusterError, Daemons, attempts, find_program, free_ports, new_folder
from .leftovers import SLURM_PREFIX, remove_cgroups
from .slurm_files import NODES, Ports, SlurmOptions, write_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

__all__ = ["SlurmOptions", "ThrowawaySlurm", "why_no_slurm"]

_COMMAND_SECONDS = 60.0
_PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "sinfo", "scontrol")
_USABLE = frozenset({"idle", "mixed", "allocated", "completing", "reserved", "planned"})


def why_no_slurm(options: SlurmOptions = SlurmOptions()) -> str | None:  # noqa: B008 - frozen
    """Why a throwaway Slurm cannot run here; `None` where it can."""
    if os.geteuid() != 0:
        return "needs root: slurmd starts jobs as their owners"
    missing = [name for name in _PROGRAMS if find_program(name) is None]
    if missing:
        return f"needs {', '.join(missing)} (Debian: apt-get install slurm-wlm munge)"
    if options.cgroup and not all(os.access(f"/sys/fs/cgroup/{name}", os.W_OK) for name in ("memory", "freezer")):
        return "needs a writable cgroup v1 with the controllers memory and freezer"
    return why_no_accounting() if options.accounting else None


class ThrowawaySlurm:
    """One cluster. Partitions: main (all nodes), compute (cpu1, cpu2) and gpu (gpu1 with a100, gpu2 with h100).

    Attributes:
        options: How it was configured.
        folder: Where everything of it lies.

    """

    def __init__(self, options: SlurmOptions = SlurmOptions()) -> None:  # noqa: B008 - frozen
        self.options = options
        self.folder = new_folder(SLURM_PREFIX)
        self._daemons = Daemons(self.folder)
        self._conf = self.folder / "etc/slurm.conf"

    @property
    def conf(self) -> Path:
        """The path of slurm.conf."""
        return self._conf

    @cached_property
    def env(self) -> Mapping[str, str]:
        """The variables that point Slurm's commands to this cluster."""
        return {"SLURM_CONF": str(self.conf)}

    @property
    def daemon_names(self) -> tuple[str, ...]:
        """What `kill` and `restart` know: munged, slurmctld, slurmd-cpu1, ..., with accounting slurmdbd, mariadbd."""
        return self._daemons.names

    def start(self) -> ThrowawaySlurm:
        """Start everything and wait until each node takes jobs; raises `ClusterError`."""
        attempts(self._start, self._daemons.end_all)
        return self

    def _start(self) -> None:
        ports = Ports.of(free_ports(3 + len(NODES)))
        write_configuration(self.folder, ports, self.options)
        self._start_munged()
        if self.options.accounting:
            start_accounting(self.folder, self._daemons, ports, self._environment, self.answers)
        self._launch("slurmctld", "slurmctld", "-D", "-i", "-f", str(self.conf))
        for node in NODES:
            self._launch(f"slurmd-{node}", "slurmd", "-D", "-N", node, "-f", str(self.conf))
        self.wait_ready()

    def _start_munged(self) -> None:
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(64))
        program = find_program("munged") or "munged"
        arguments = ["--foreground", "--force", "--num-threads=4", f"--socket={self.folder}/munge/socket"]
        arguments += [f"--key-file={key}", f"--seed-file={self.folder}/munge.seed"]
        arguments += [f"--pid-file={self.folder}/run/munged.pid"]
        helped = subprocess.run([program, "--help"], capture_output=True, text=True, check=False, timeout=30)
        # Newer versions look up the name of this host, which may not resolve.
        arguments += ["--origin=127.0.0.1"] if "--origin" in helped.stdout else []
        self._daemons.start("munged", [program, *arguments], environment=self._environment, ready=self._munge_works)

    def _munge_works(self) -> bool:
        return self.answers("munge", "-S", f"{self.folder}/munge/socket", "-n")

    def _launch(self, name: str, program: str, *arguments: str) -> None:
        command = [find_program(program) or program, *arguments]
        self._daemons.start(name, command, environment=self._environment, ready=lambda: True)

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": DAEMON_PATH, "LC_ALL": "C", "HOME": str(self.folder), **self.env}

    def wait_ready(self) -> None:
        """Wait until the controller answers and every node takes jobs; raises `ClusterError`."""
        alive = ["munged", "slurmctld", *(f"slurmd-{node}" for node in NODES)]
        self._daemons.wait("every node takes jobs", self._nodes_usable, alive=alive)

    def _nodes_usable(self) -> bool:
        asked = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T", check=False)
        states = dict(line.split() for line in asked.stdout.splitlines())
        for node, state in states.items():
            # DOWN and DRAIN outlive a restart of the controller.
            if state.rstrip("*") in {"down", "drained", "draining", "drain", "fail"}:
                self.run("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
        return set(states) == set(NODES) and all(state in _USABLE for state in states.values())

    def run(
        self, *command: str, check: bool = True, stdin: str = "", timeout: float = _COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of this cluster, such as ``squeue``; with `check`, a failure raises `ClusterError`."""
        done = subprocess.run(
            list(command),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env=self._environment,
            cwd=self.folder,
        )
        if check and done.returncode != 0:
            raise ClusterError(
                f"{' '.join(command)} ended with exit code {done.returncode}: {done.stderr}{done.stdout}"
            )
        return done

    def answers(self, *command: str) -> bool:
        """Whether a command succeeds."""
        return self.run(*command, check=False).returncode == 0

    def controller_is_up(self) -> bool:
        """Whether slurmctld answers."""
        return "is UP" in self.run("scontrol", "ping", check=False).stdout

    def kill(self, daemon: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one daemon, by name, and wait for its end if it is KILL or TERM. Jobs stay."""
        self._daemons.signal(daemon, number)

    def is_alive(self, daemon: str) -> bool:
        """Whether a daemon runs."""
        return self._daemons.is_alive(daemon)

    def restart(self, daemon: str, *, wait: bool = True) -> None:
        """Start a killed daemon again and, with `wait`, wait until the cluster takes jobs."""
        if daemon == "munged":
            (self.folder / "munge/socket").unlink(missing_ok=True)
            (self.folder / "munge/socket.lock").unlink(missing_ok=True)
        self._daemons.start_again(daemon)
        if wait:
            self.wait_ready()

    def cancel_all(self) -> None:
        """Cancel every job and wait until the queue is empty; for a clean start of the next test."""

        def empty() -> bool:
            jobs = self.run("squeue", "-h", "-o", "%A", check=False).stdout.split()
            if jobs:
                self.run("scancel", *sorted(set(jobs)), check=False)
            return not jobs

        self._daemons.wait("the queue is empty", empty)

    def logs(self) -> str:
        """The last lines of every daemon's log."""
        return self._daemons.logs(self.daemon_names)

    def stop(self) -> None:
        """Kill everything of this cluster, jobs included, and remove its folder."""
        self._daemons.end_all()
        remove_cgroups()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
