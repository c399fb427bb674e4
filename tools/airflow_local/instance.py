"""One local Airflow: started, found again from any process, and stopped to the last of its processes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from importlib.metadata import version
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import TYPE_CHECKING, Any

from .client import AirflowApi
from .configuration import (
    DagBundle,
    InstanceSettings,
    airflow_variables,
    free_port,
    inherited_environment,
    load_settings,
    port_is_free,
    save_settings,
    shell_file,
    write_private,
)
from .errors import AirflowLocalError, AirflowStartError, WaitTimeoutError
from .processes import MARK_VARIABLE, ProcessIdentity, identify, is_running, launch, send, stop_all, tree_of
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

__all__ = ["COMPONENTS", "AirflowInstance", "ComponentStatus"]

# The servers for remote logs are left out: all logs are files of this machine, and two instances would fight for ports.
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
COMPONENTS = tuple(_COMMANDS)
_LOG_TAIL_LINES = 30


@dataclass(frozen=True)
class ComponentStatus:
    """One process of the instance, as recorded when it was started."""

    name: str
    process: ProcessIdentity
    started_at: float
    running: bool

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid


def _say_nothing(_message: str) -> None:
    pass


class AirflowInstance:
    """An Airflow that lives in the folder `home`.

    `bundles` are its DAG bundles, by default the folder ``home/dags``. `overrides` are environment variables for all of
    its processes. `report` receives one line for each step of a start. Port, password and secrets are chosen once and
    kept in `home`, as are the identities of its processes: another process with the same `home` can ask for the status
    and stop it.
    """

    def __init__(
        self,
        home: Path,
        *,
        bundles: Sequence[DagBundle] = (),
        overrides: Mapping[str, str] | None = None,
        report: Callable[[str], None] = _say_nothing,
    ) -> None:
        self.home = home.resolve()
        self.dags_folder = self.home / "dags"
        self._bundles = tuple(bundles)
        self._overrides = dict(overrides or {})
        self._report = report

    @property
    def settings(self) -> InstanceSettings:
        """Port, user and password; chosen at the first use of `home`."""
        return load_settings(self.home)

    @property
    def url(self) -> str:
        """Where the web interface and the API are."""
        return self.settings.url

    @cached_property
    def api(self) -> AirflowApi:
        """A client of the REST API, as an administrator."""
        settings = self.settings
        return AirflowApi(settings.url, settings.user, settings.password)

    def variables(self) -> dict[str, str]:
        """The variables that distinguish this Airflow from any other."""
        return airflow_variables(self.home, self.settings, self._bundles, self._overrides)

    def environment(self) -> dict[str, str]:
        """A whole environment for ``airflow`` commands on this instance."""
        return inherited_environment(self.variables())

    def write_shell_file(self, path: Path) -> None:
        """Write a file that a shell can source, after which ``airflow`` commands work on this instance."""
        write_private(path, shell_file(self.variables()))

    def airflow(self, *arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run an ``airflow`` command on this instance and return what it said, whatever its exit code.

        `timeout` is in seconds.
        """
        return subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *, timeout: float = 180.0) -> None:
        """Bring all components up and wait until each has given a sign of life; `timeout` in seconds.

        Components that run already are left alone, unless the instance's configuration has changed since: then all are
        restarted. Raises `AirflowStartError` with the log's last lines.
        """
        with self._lock():
            running = {status.name for status in self.status().values() if status.running}
            if running and self._recorded_digest() != self._digest():
                self._report("Airflow runs with other settings: restarting it")
                self._stop(grace=5.0)
                running = set()
            if running >= set(COMPONENTS):
                self._report(f"Airflow is already running at {self.url}")
                return
            if "api-server" not in running:
                self._settle_port()
            self._migrate()
            self.dags_folder.mkdir(exist_ok=True)
            for name in COMPONENTS:
                if name not in running:
                    self._launch(name)
            self._wait_healthy(timeout)

    def start_component(self, name: str) -> ComponentStatus:
        """Start one component (``triggerer``) or a further copy of it (``triggerer-2``); its health is not awaited."""
        with self._lock():
            return self._launch(name)

    def kill(self, name: str, *, tree: bool = True) -> None:
        """Kill one component as a crash would, with all its processes or, with `tree=False`, the main process alone."""
        for process in self._processes_of(name, tree=tree):
            send(process, SIGKILL)
        main = self.status()[name].process
        wait_until(lambda: not is_running(main), timeout=10.0, what=f"the end of {name}", interval=0.02)

    def suspend(self, name: str) -> None:
        """Stop the clock of one component and its processes (SIGSTOP), as an overloaded machine might."""
        for process in self._processes_of(name, tree=True):
            send(process, SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a suspended component go on."""
        for process in self._processes_of(name, tree=True):
            send(process, SIGCONT)

    def stop(self, *, grace: float = 5.0) -> int:
        """End every process of the instance, running tasks included, and return how many there were.

        Does nothing where nothing runs. Each of the two polite rounds takes at most `grace` seconds.
        """
        if not self.home.is_dir():
            return 0
        with self._lock():
            return self._stop(grace=grace)

    def status(self) -> dict[str, ComponentStatus]:
        """The components that were started, by name, and whether each still runs."""
        found = {}
        for name, item in self._record().get("components", {}).items():
            process = ProcessIdentity(**item["process"])
            found[name] = ComponentStatus(name, process, item["started_at"], is_running(process))
        return found

    def is_running(self) -> bool:
        """Whether all four components run."""
        running = {status.name for status in self.status().values() if status.running}
        return running >= set(COMPONENTS)

    def component_log(self, name: str) -> Path:
        """The file that holds what a component has said."""
        return self.home / "logs" / f"{name}.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One start or stop at a time, whichever process asks."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _record(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads((self.home / "processes.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return record

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self.variables(), sort_keys=True).encode()).hexdigest()

    def _recorded_digest(self) -> str | None:
        digest: str | None = self._record().get("configuration")
        return digest

    def _settle_port(self) -> None:
        settings = self.settings
        if not port_is_free(settings.api_port):
            self._report(f"Port {settings.api_port} is taken: choosing another")
            save_settings(self.home, replace(settings, api_port=free_port()))
        else:
            save_settings(self.home, settings)
        # A client made before now may point to the old port.
        self.__dict__.pop("api", None)

    def _migrate(self) -> None:
        stamp = self.home / "migrated"
        wanted = version("apache-airflow-core")
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return
        self._report("Preparing Airflow's database")
        done = self.airflow("db", "migrate", timeout=300.0)
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-_LOG_TAIL_LINES:])
            raise AirflowStartError(f"airflow db migrate failed in {self.home} (exit code {done.returncode}):\n{tail}")
        stamp.write_text(wanted, encoding="utf-8")

    def _launch(self, name: str) -> ComponentStatus:
        kind = next((kind for kind in COMPONENTS if name == kind or name.startswith(f"{kind}-")), None)
        if kind is None:
            raise AirflowLocalError(f"no component {name!r}; there are {', '.join(COMPONENTS)}")
        known = self.status()
        if name in known and known[name].running:
            return known[name]
        (self.home / "logs").mkdir(exist_ok=True)
        child = launch(
            [sys.executable, "-m", "airflow", *_COMMANDS[kind]],
            environment={**self.environment(), MARK_VARIABLE: self.settings.mark},
            log=self.component_log(name),
            cwd=self.home,
        )
        # Collected when it ends, so that it neither stays as a zombie nor warns when this object goes before it does.
        threading.Thread(target=child.wait, name=f"wait-{name}", daemon=True).start()
        process = identify(child.pid)
        if process is None:
            raise AirflowStartError(f"{name} ended at once:\n{self._log_tail(name)}")
        status = ComponentStatus(name, process, time.time(), running=True)
        record = self._record()
        record["configuration"] = self._digest()
        record.setdefault("components", {})[name] = {
            "process": asdict(status.process),
            "started_at": status.started_at,
        }
        write_private(self.home / "processes.json", json.dumps(record, indent=2) + "\n")
        return status

    def _wait_healthy(self, timeout: float) -> None:
        waiting = set(COMPONENTS)
        begun = time.monotonic()
        self._report("Starting Airflow")

        def ready() -> bool:
            for name in sorted(waiting & self._healthy()):
                waiting.discard(name)
                self._report(f"  {name} is up after {time.monotonic() - begun:.0f} s")
            for status in self.status().values():
                if status.name in COMPONENTS and not status.running:
                    raise AirflowStartError(f"Airflow's {status.name} has ended:\n{self._log_tail(status.name)}")
            return not waiting

        try:
            wait_until(ready, timeout=timeout, what=lambda: f"health of {', '.join(sorted(waiting))}")
        except WaitTimeoutError as error:
            name = min(waiting)
            raise AirflowStartError(f"{error}; last lines of {name}'s log:\n{self._log_tail(name)}") from error

    def _healthy(self) -> frozenset[str]:
        """The components that have given a sign of life since they were started."""
        try:
            health = self.api.health()
        except AirflowLocalError:
            return frozenset()
        known = self.status()
        alive = {"api-server"}
        for name in ("scheduler", "dag-processor", "triggerer"):
            key = name.replace("-", "_")
            entry = health.get(key) or {}
            beat = entry.get(f"latest_{key}_heartbeat")
            fresh = beat is not None and datetime.fromisoformat(beat).timestamp() >= known[name].started_at
            if entry.get("status") == "healthy" and fresh:
                alive.add(name)
        return frozenset(alive)

    def _stop(self, *, grace: float) -> int:
        roots = [status.process for status in self.status().values()]
        ended = stop_all(roots, mark=self.settings.mark, grace=grace)
        (self.home / "processes.json").unlink(missing_ok=True)
        return ended

    def _processes_of(self, name: str, *, tree: bool) -> frozenset[ProcessIdentity]:
        known = self.status()
        if name not in known:
            raise AirflowLocalError(f"{name} was never started in {self.home}")
        process = known[name].process
        return tree_of([process]) if tree else frozenset([process])

    def _log_tail(self, name: str) -> str:
        try:
            text = self.component_log(name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-_LOG_TAIL_LINES:])
