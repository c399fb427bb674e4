"""slurmdbd on a MariaDB of its own, for clusters with accounting."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from .daemons import ClusterError, Daemons, find_program
from .slurm_files import Ports, slurmdbd_conf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["start_accounting", "why_no_accounting"]

_PROGRAMS = ("slurmdbd", "sacctmgr", "mariadbd", "mariadb", "mariadb-install-db")
_PLUGIN_FOLDERS = ("/usr/lib", "/usr/lib64")
_INSTALL_SECONDS = 120.0


def why_no_accounting() -> str | None:
    """Why a cluster with accounting cannot run here; `None` where it can."""
    missing = [name for name in _PROGRAMS if find_program(name) is None]
    if not any(next(Path(folder).glob("**/accounting_storage_mysql.so"), None) for folder in _PLUGIN_FOLDERS):
        missing.append("accounting_storage_mysql.so")
    if missing:
        packages = "slurmdbd slurm-wlm-mysql-plugin mariadb-server"
        return f"needs {', '.join(missing)} (Debian: apt-get install {packages})"
    return None


def start_accounting(
    folder: Path,
    daemons: Daemons,
    ports: Ports,
    environment: Mapping[str, str],
    answers: Callable[..., bool],
) -> None:
    """Start MariaDB and slurmdbd; `answers` tells whether a command of the cluster succeeds. Raises `ClusterError`."""
    password = secrets.token_hex(16)
    _start_database(folder, daemons, ports, environment, answers)
    _sql(
        folder,
        environment,
        "create database if not exists slurm_acct_db;"
        f"create or replace user slurm@'127.0.0.1' identified by '{password}';"
        "grant all on slurm_acct_db.* to slurm@'127.0.0.1';",
    )
    conf = folder / "etc/slurmdbd.conf"
    conf.touch(mode=0o600)
    conf.write_text(slurmdbd_conf(folder, ports, password))
    daemons.start(
        "slurmdbd",
        [find_program("slurmdbd") or "slurmdbd", "-D"],
        environment=environment,
        ready=lambda: answers("sacctmgr", "-n", "-P", "list", "cluster"),
    )


def _start_database(
    folder: Path, daemons: Daemons, ports: Ports, environment: Mapping[str, str], answers: Callable[..., bool]
) -> None:
    data = folder / "sql/data"
    if not data.exists():
        (folder / "sql/tmp").mkdir(parents=True)
        (folder / "sql").chmod(0o700)
        installed = subprocess.run(
            [
                *("mariadb-install-db", "--no-defaults", "--force", "--user=root", f"--datadir={data}"),
                *("--skip-name-resolve", "--skip-test-db", "--auth-root-authentication-method=socket"),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=_INSTALL_SECONDS,
            env=dict(environment),
        )
        if installed.returncode != 0:
            raise ClusterError(f"mariadb-install-db failed: {installed.stderr}{installed.stdout}")
    daemons.start(
        "mariadbd",
        [
            *(find_program("mariadbd") or "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}"),
            *(f"--tmpdir={folder}/sql/tmp", f"--socket={folder}/sql/socket", f"--pid-file={folder}/run/mariadbd.pid"),
            *("--bind-address=127.0.0.1", f"--port={ports.database}", "--skip-name-resolve", "--skip-log-bin"),
            *("--innodb-buffer-pool-size=128M", "--innodb-log-file-size=64M", "--innodb-lock-wait-timeout=900"),
            *("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-use-native-aio=0"),
        ],
        environment=environment,
        ready=lambda: answers(*_client(folder), "-e", "select 1"),
    )


def _client(folder: Path) -> tuple[str, ...]:
    return ("mariadb", "--no-defaults", f"--socket={folder}/sql/socket", "--user=root")


def _sql(folder: Path, environment: Mapping[str, str], statements: str) -> None:
    done = subprocess.run(
        [*_client(folder)],
        input=statements,
        capture_output=True,
        text=True,
        check=False,
        timeout=_INSTALL_SECONDS,
        env=dict(environment),
    )
    if done.returncode != 0:
        raise ClusterError(f"the accounting database cannot be prepared: {done.stderr}")
