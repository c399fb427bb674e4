"""What a local Airflow is told, all of it in environment variables, and the few values that must survive a restart."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import socket
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "DagBundle",
    "InstanceSettings",
    "airflow_variables",
    "free_port",
    "inherited_environment",
    "load_settings",
    "port_is_free",
    "save_settings",
    "shell_file",
    "write_private",
]

USER = "admin"
HOST = "127.0.0.1"
# Below the range that Linux hands to outgoing connections (32768 and up), so a chosen port stays free until it is used.
_PORTS = range(20_000, 30_000)

# SQLite has one writer at a time; its default patience of 5 seconds is too little for four processes.
_DATABASE_MODULE = "airflow_local_database"
_DATABASE_SETTINGS = '''"""Arguments for SQLite's connections: how long, in seconds, to wait for the one writer."""

connect_args = {"timeout": 60}
connect_args_async = {"timeout": 60}
'''


@dataclass(frozen=True)
class DagBundle:
    """A DAG bundle for Airflow's ``[dag_processor] dag_bundle_config_list``."""

    name: str
    classpath: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def local(cls, name: str, folder: Path) -> DagBundle:
        """A plain folder of DAG files, without versions."""
        return cls(name, "airflow.dag_processing.bundles.local.LocalDagBundle", {"path": str(folder)})


@dataclass(frozen=True)
class InstanceSettings:
    """What is chosen once for an instance and kept with it."""

    mark: str
    api_port: int
    password: str
    user: str = USER

    @property
    def url(self) -> str:
        """Where the web interface and the API are."""
        return f"http://localhost:{self.api_port}"


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of the local interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do, so that connections that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port on which nothing listens, chosen at random so that two instances hardly ever choose the same."""
    while not port_is_free(port := secrets.choice(_PORTS)):
        pass
    return port


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all of it or nothing."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def save_settings(home: Path, settings: InstanceSettings) -> None:
    """Keep the settings, and write what Airflow reads from files: passwords, secrets, database arguments."""
    (home / "config").mkdir(parents=True, exist_ok=True)
    write_private(home / "instance.json", json.dumps(asdict(settings), indent=2) + "\n")
    write_private(home / "passwords.json", json.dumps({settings.user: settings.password}) + "\n")
    (home / "config" / f"{_DATABASE_MODULE}.py").write_text(_DATABASE_SETTINGS, encoding="utf-8")
    if not (home / "airflow.cfg").exists():
        # Airflow would write all its defaults there, with today's environment frozen in; only secrets need a file.
        write_private(
            home / "airflow.cfg",
            f"[core]\nfernet_key = {base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}\n"
            f"[api]\nsecret_key = {secrets.token_hex(16)}\n"
            f"[api_auth]\njwt_secret = {secrets.token_hex(32)}\n",
        )


def load_settings(home: Path) -> InstanceSettings:
    """The settings kept in `home`, chosen and written now where there are none."""
    try:
        return InstanceSettings(**json.loads((home / "instance.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        settings = InstanceSettings(secrets.token_hex(8), free_port(), secrets.token_urlsafe(9))
        save_settings(home, settings)
        return settings


def airflow_variables(
    home: Path, settings: InstanceSettings, bundles: Sequence[DagBundle], overrides: Mapping[str, str]
) -> dict[str, str]:
    """The variables that make Airflow this instance; `overrides` win."""
    listed = bundles or [DagBundle.local("dags-folder", home / "dags")]
    bundle_list = [{"name": item.name, "classpath": item.classpath, "kwargs": dict(item.kwargs)} for item in listed]
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(2 * (os.cpu_count() or 2)),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        # Looking up a full name may ask a name server that is not there.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{settings.user}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        # These three belong together: with the port alone every task would fail with "connection refused".
        "AIRFLOW__API__PORT": str(settings.api_port),
        "AIRFLOW__API__BASE_URL": settings.url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{settings.api_port}/execution/",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": "1000",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": f"{_DATABASE_MODULE}.connect_args",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": f"{_DATABASE_MODULE}.connect_args_async",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundle_list),
        # The default is a folder for all Airflows of this machine.
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "logs" / "dag_processor"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__LOGGING__UVICORN_LOGGING_LEVEL": "WARNING",
        **overrides,
    }


def inherited_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `variables` in it and no other setting of Airflow's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    # A proxy cannot reach this machine's own server.
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, [kept.get(name), "localhost", HOST]))
    return kept | dict(variables)


def shell_file(variables: Mapping[str, str]) -> str:
    """A file to be sourced by a POSIX shell, after which ``airflow`` commands mean this instance."""
    lines = ["# Makes the airflow command of this shell work on one local Airflow. Source it:  . <this file>"]
    lines.append('for name in $(env | sed -n "s/^\\(AIRFLOW_[A-Za-z0-9_]*\\)=.*/\\1/p"); do unset "$name"; done')
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    return "\n".join(lines) + "\n"
