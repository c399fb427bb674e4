"""A real sshd on a loopback port with keys of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from .daemons import DAEMON_PATH, Daemons, attempts, find_program, free_ports, new_folder
from .leftovers import SSHD_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Self

__all__ = ["SshdOptions", "ThrowawaySshd", "why_no_sshd"]

_PROGRAMS = ("sshd", "ssh", "ssh-keygen")


def why_no_sshd() -> str | None:
    """Why no SSH server can run here; `None` where one can."""
    missing = [name for name in _PROGRAMS if find_program(name) is None]
    return f"needs {', '.join(missing)} (Debian: apt-get install openssh-server openssh-client)" if missing else None


@dataclass(frozen=True)
class SshdOptions:
    """How a server differs from one with OpenSSH's own defaults.

    Attributes:
        environment: Variables of every session, such as SLURM_CONF.
        users: Who may log in besides the user that runs the server; only root can let others in.
        forced_command: A command line that every session runs in place of what it asks for (ForceCommand).
        extra: More lines for sshd_config; of a key that is given twice sshd takes the first, which is this one.

    """

    environment: Mapping[str, str] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    forced_command: str | None = None
    extra: tuple[str, ...] = ()


class ThrowawaySshd:
    """One server on loopback; `start` it, or use it in a ``with``.

    Attributes:
        options: How it was configured.
        folder: Where everything of it lies.
        host: Its address.
        port: Its port.
        user: Who may log in.
        key: The file of the private key that everybody logs in with.
        known_hosts: A file that vouches for its host key.
        ssh_config: A configuration for ssh with an alias, ``repx``, for it.

    """

    host = "127.0.0.1"
    alias = "repx"

    def __init__(self, options: SshdOptions | None = None) -> None:
        self.options = options or SshdOptions()
        self.folder = new_folder(SSHD_PREFIX)
        self.port = 0
        self.user = getpass.getuser()
        self.key = self.folder / "user_key"
        self.known_hosts = self.folder / "known_hosts"
        self.ssh_config = self.folder / "ssh_config"
        self._daemons = Daemons(self.folder)
        for key in ("host_key", "user_key"):
            self.make_key(key)

    def make_key(self, name: str, passphrase: str = "") -> Path:
        """A new key pair in the server's folder; it lets nobody in by itself."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(path)]
        subprocess.run(command, check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        return path

    def start(self) -> ThrowawaySshd:
        """Start it and wait until a login works; raises `ClusterError`."""
        attempts(self._start, self._daemons.end_all)
        return self

    def _start(self) -> None:
        self.port = free_ports(1)[0]
        if os.geteuid() == 0:
            # The path is compiled in, and must be root's alone.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.authorize("user_key")
        self.vouch("host_key")
        (self.folder / "sshd_config").write_text(self._server_configuration())
        self.ssh_config.write_text(self._client_configuration())
        # sshd wants to be called by its full path.
        command = [find_program("sshd") or "sshd", "-D", "-f", f"{self.folder}/sshd_config"]
        command += ["-E", f"{self.folder}/log/sshd.log"]
        self._daemons.start("sshd", command, environment={"PATH": DAEMON_PATH}, ready=self.login_works)

    def authorize(self, *keys: str) -> None:
        """Let exactly these keys of the server's folder in."""
        texts = [(self.folder / f"{key}.pub").read_text() for key in keys]
        (self.folder / "authorized_keys").write_text("".join(texts))

    def vouch(self, key: str) -> None:
        """Write `known_hosts` as if this key, of the server's folder, were the server's."""
        kind, content = (self.folder / f"{key}.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[localhost]:{self.port},[{self.host}]:{self.port} {kind} {content}\n")

    def _server_configuration(self) -> str:
        options = self.options
        variables = " ".join(f'"{name}={value}"' for name, value in options.environment.items())
        lines = [
            f"ListenAddress {self.host}",
            f"Port {self.port}",
            *options.extra,
            f"PidFile {self.folder}/sshd.pid",
            f"HostKey {self.folder}/host_key",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            f"AllowUsers {' '.join((self.user, *options.users))}",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            f"UsePAM {'yes' if _is_locked(self.user) else 'no'}",
            # The folder lies under /tmp, which sshd would not trust.
            "StrictModes no",
            "UseDNS no",
            "X11Forwarding no",
            "PrintMotd no",
            "PrintLastLog no",
            "LogLevel VERBOSE",
            "Subsystem sftp internal-sftp",
            *([f"SetEnv {variables}"] if variables else []),
            *([f"ForceCommand {options.forced_command}"] if options.forced_command else []),
        ]
        return "\n".join(lines) + "\n"

    def _client_configuration(self) -> str:
        lines = [
            f"Host {self.alias}",
            f"    HostName {self.host}",
            f"    Port {self.port}",
            f"    User {self.user}",
            f"    IdentityFile {self.key}",
            "    IdentitiesOnly yes",
            f"    UserKnownHostsFile {self.known_hosts}",
            "    GlobalKnownHostsFile /dev/null",
            "    StrictHostKeyChecking yes",
            "    BatchMode yes",
        ]
        return "\n".join(lines) + "\n"

    def login_works(self) -> bool:
        """Whether ssh gets in."""
        command = ["ssh", "-F", str(self.ssh_config), "-o", "ConnectTimeout=5", self.alias, "true"]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
        # A forced command may end as it likes; ssh's own errors are 255.
        return done.returncode != 255  # noqa: PLR2004 - see above

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the listener; sessions that are open stay open."""
        self._daemons.signal("sshd", number)

    def sessions(self) -> list[psutil.Process]:
        """The server's processes for open connections, also those whose listener was killed.

        Each has inherited the open log file.
        """
        log = str(self.folder / "log/sshd.log")
        return [process for process in _named_sshd() if _has_open(process.pid, log) and not self._listens(process)]

    def _listens(self, process: psutil.Process) -> bool:
        return self._daemons.is_alive("sshd") and process.pid == self._daemons.process("sshd").pid

    def kill_sessions(self) -> int:
        """Kill the processes of open connections, as a network that fails does; returns how many there were.

        What they were running goes on, unless it notices that nobody listens.
        """
        sessions = self.sessions()
        for process in sessions:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return len(sessions)

    def restart(self) -> None:
        """Start it again on the same port and wait until a login works."""
        self._daemons.start_again("sshd")
        self._daemons.wait("a login works", self.login_works, alive=["sshd"])

    def connections_made(self) -> int:
        """How many logins there were until now."""
        log = (self.folder / "log/sshd.log").read_text(errors="replace")
        return sum("Accepted publickey" in line for line in log.splitlines())

    def logs(self) -> str:
        """The last lines of the server's log."""
        return self._daemons.logs(["sshd"])

    def stop(self) -> None:
        """Kill the server with its sessions and remove its folder."""
        self.kill_sessions()
        self._daemons.end_all()
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


def _named_sshd() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name().startswith("sshd"):
                yield process


def _has_open(pid: int, file: str) -> bool:
    with contextlib.suppress(OSError):
        return any(str(link.readlink()) == file for link in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _is_locked(user: str) -> bool:
    """Whether the account's password is locked: sshd without PAM then lets nobody in, not even with a key."""
    done = subprocess.run(["getent", "shadow", user], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.partition(":")[2].startswith("!")
